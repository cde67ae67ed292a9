"""Adapt the temperature and the stop sequences of a request to the values that Claude accepts. No I/O."""

from collections.abc import Sequence

_MAX_TEMPERATURE = 1.0


def clamp_temperature(temperature: float | None, notes: list[str]) -> float | None:
    """Reduce a temperature above 1 to 1, and add a note for the client. OpenAI and Gemini allow values up to 2."""
    if temperature is None or temperature <= _MAX_TEMPERATURE:
        return temperature
    notes.append("temperature: changed to 1 (the highest that Claude accepts)")
    return _MAX_TEMPERATURE


def drop_blank_stops(field: str, sequences: Sequence[str] | None, notes: list[str]) -> tuple[str, ...]:
    """Return the stop sequences that are not blank.

    The API rejects blank sequences. If there are any, the function adds a note for the client.
    """
    sequences = sequences or ()
    non_blank = tuple(text for text in sequences if text.strip())
    if len(non_blank) < len(sequences):
        notes.append(f"{field}: omitted blank sequences (Claude accepts none)")
    return non_blank
