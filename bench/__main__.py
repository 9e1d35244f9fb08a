"""`python -m bench NAME`: one command for each thing that can be measured.

A command's module is imported when it is asked for, so that none has to be installed for the others.
"""

import importlib
import sys
from typing import Final

# name -> (the module with a `main(arguments)` that returns an exit code, what it answers)
COMMANDS: Final = {
    "fleet": ("bench.fleet.command", "a day of spammers and honest senders under several policies"),
    "load": ("bench.load.command", "the same senders over real sockets, against a running proxy"),
    "workers": ("bench.workers", "two workers against one; killed and reloaded under load"),
    "profile": ("bench.profile", "where the time of a clean session goes; this tree beside another"),
    "pieces": ("bench.pieces", "what each piece of a clean session costs by itself"),
    "memory": ("bench.memory", "what an open session keeps in memory: clean, held, inside TLS"),
    "peers": ("bench.peers.command", "this proxy beside those that would be run in its place"),
}


def main() -> int:
    """Run the command named first, with the arguments after it; 2 for an unknown one."""
    match sys.argv[1:]:
        case [name, *rest] if name in COMMANDS:
            module = importlib.import_module(COMMANDS[name][0])
            code: int = module.main(rest)
            return code
        case ["-h" | "--help"]:
            print(_usage())
            return 0
    print(_usage(), file=sys.stderr)
    return 2


def _usage() -> str:
    lines = [f"  {name:10}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: python -m bench NAME [OPTIONS]", *lines])


if __name__ == "__main__":
    sys.exit(main())
