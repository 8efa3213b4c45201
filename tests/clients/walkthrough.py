"""Pages of the documentation whose commands are run, and compared with what the pages say that they print; and the snippets
of the README."""

import re
import subprocess
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
DOCS = README.parent / "docs"
MARK = "@@ end of command"


def commands_of(page: str) -> list:
    """The commands in the page's `console` blocks, each with what it prints.

    A command begins with `$ ` and goes on in lines with `> `, or, where the page shows no output at all, in any lines."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", (DOCS / page).read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> ") or line == ">":
                command, printed = found.pop()
                found.append((f"{command}\n{line[2:]}", printed))
            else:
                found[-1][1].append(line)
    return found


def matches(expected: list, printed: list) -> bool:
    """Whether these are the lines, `…` standing for anything within one."""
    patterns = [".*".join(re.escape(piece) for piece in line.split("…")) for line in expected]
    return len(patterns) == len(printed) and all(map(re.fullmatch, patterns, printed))


def walk(page: str, env: dict, cwd: Path) -> str:
    """Runs every command of the page in one shell, and returns all that was printed.

    A command may fail if the page shows the error."""
    commands = commands_of(page)
    script = "set -u\n" + "".join(f"{command}\necho \"{MARK} $?\"\n" for command, _ in commands)
    done = subprocess.run(["bash", "-c", script], env=env, cwd=cwd, timeout=600, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    pieces = re.split(rf"{MARK} (\d+)\n", done.stdout)
    results = list(zip(pieces[0::2], pieces[1::2]))
    assert len(results) == len(commands), done.stdout
    wrong = []
    for (command, expected), (printed, status) in zip(commands, results):
        lines = [line for line in printed.splitlines() if line]
        may_fail = any("An error occurred" in line for line in expected)
        if not matches(expected, lines) or (status != "0" and not may_fail):
            page_says = "\n".join(expected)
            wrong.append(f"$ {command}\n{printed}\nended with {status}, and the page says\n{page_says}")
    assert not wrong, "\n\n".join(wrong)
    return done.stdout


def snippet_of_readme(heading: str, language: str) -> str:
    """The one block of that language in a section of the README."""
    sections = re.split(r"^#+ (.+)\n", README.read_text(), flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2]))
    [block] = re.findall(rf"```{language}\n(.*?)```", texts[heading], re.DOTALL)
    return block
