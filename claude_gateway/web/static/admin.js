// What only a key with the scope `admin` is shown.
export function startAdmin() {}
