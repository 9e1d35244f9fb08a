"""`python -m tests.fuzz.guided TARGET SECONDS`: one target, guided by coverage. libFuzzer ends the process.

Only what is fuzzed is instrumented: with everything it depends on, it would be half as fast.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["tarpit.smtp", "tarpit.proxied", "scoring.packet"]):
    from tests.fuzz.targets import TARGETS, WORDS

CORPUS: Final = Path(__file__).parent / "corpus"
LONGEST: Final = 4096  # bytes of an input


def main(name: str, seconds: int) -> None:
    """Fuzz until the time is over, or something breaks: then that is kept in the corpus."""
    with tempfile.TemporaryDirectory() as folder:
        dictionary, fresh = Path(folder) / "words", Path(folder) / "fresh"
        dictionary.write_text("".join(f'"{_quoted(word)}"\n' for word in WORDS[name]), "ascii")
        fresh.mkdir()
        options = {
            "max_total_time": seconds,
            "max_len": LONGEST,
            "dict": dictionary,
            "artifact_prefix": f"{CORPUS / name}/",
            "print_final_stats": 1,
            "verbosity": 0,
        }
        flags = [f"-{option}={value}" for option, value in options.items()]
        atheris.Setup([sys.argv[0], *flags, str(fresh), str(CORPUS / name)], TARGETS[name])
        atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{octet:02x}" for octet in word)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
