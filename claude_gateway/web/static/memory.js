// What the server is to know of the next visit, so that the page comes in its language and theme from the first byte.
const YEAR_SECONDS = 31536000;

export function remember(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR_SECONDS}; samesite=strict`;
}
