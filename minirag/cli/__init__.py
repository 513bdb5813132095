"""The command line, thin over the library: `minirag add | search | ask | chat | …`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done. 1: it failed, with a message on standard error. 2: it was called wrongly. 3: done, but some documents
    failed. 130: interrupted.
    """
    from minirag.cli.arguments import parse
    from minirag.errors import InvalidInputError, MiniRAGError

    options = parse(arguments)
    try:
        return int(options.run(options))
    except InvalidInputError as problem:
        print(f"minirag: {problem}", file=sys.stderr)
        return 2
    except MiniRAGError as problem:
        print(f"minirag: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output, such as `head`, has had enough.
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        print("minirag: interrupted; what was committed stays", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
