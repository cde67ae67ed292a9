"""Sampling parameters for which Claude accepts fewer values than other models do. No I/O."""

from collections.abc import Sequence

_MAX_TEMPERATURE = 1.0


def clamp_temperature(temperature: float | None, notes: list[str]) -> float | None:
    """Limit the temperature to 1, and add a note if that changes it. OpenAI and Gemini allow temperatures up to 2."""
    if temperature is None or temperature <= _MAX_TEMPERATURE:
        return temperature
    notes.append("temperature: changed to 1 (the highest that Claude accepts)")
    return _MAX_TEMPERATURE


def drop_blank_stops(field: str, sequences: Sequence[str] | None, notes: list[str]) -> tuple[str, ...]:
    """Return the stop sequences without the blank ones, which the API rejects. Add a note if there are blank ones."""
    sequences = sequences or ()
    non_blank = tuple(text for text in sequences if text.strip())
    if len(non_blank) < len(sequences):
        notes.append(f"{field}: omitted blank sequences (Claude accepts none)")
    return non_blank
