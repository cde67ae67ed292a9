// Preferences in cookies, so that the server can send the page in the chosen language and theme.
const YEAR_SECONDS = 31536000;

export function savePreference(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_SECONDS}; samesite=strict`;
}
