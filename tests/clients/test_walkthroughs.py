"""The walk-throughs of the documentation, as aws-cli runs them, and the first upload of the README."""

import sys

from harness import ACCESS_KEY, SECRET_KEY, program, run, running, seeded_bytes
from walkthrough import snippet_of_readme, walk


def test_every_command_of_the_page_about_s3api_prints_what_the_page_says(tmp_path):
    program("aws")
    with running() as server:
        walk("s3api.md", env=server.client_env(), cwd=tmp_path)


def test_the_first_upload_of_the_readme(tmp_path):
    """Both snippets, one after the other as they stand; only the address is that of the server under test."""
    program("aws")
    files = {"small.txt": b"hello", "deep/er.bin": seeded_bytes(1, 70_000), "empty": b""}
    for name, content in files.items():
        path = tmp_path / "my-files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    checkpoint = seeded_bytes(2, 20 * 1024 * 1024 + 5)
    (tmp_path / "checkpoint.pt").write_bytes(checkpoint)
    shell, python = (snippet_of_readme("First upload", language) for language in ("sh", "python"))
    address = "http://127.0.0.1:9000"
    assert address in shell and address in python
    with running() as server:
        # What a reader has: the credentials the server was started with, and nothing of aws-cli's own.
        env = {name: value for name, value in server.client_env().items()
               if not name.startswith("AWS_") or name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PAGER")}
        env.update(GRANARY_ROOT_ACCESS_KEY=ACCESS_KEY, GRANARY_ROOT_SECRET_KEY=SECRET_KEY)
        (tmp_path / "first.py").write_text(python.replace(address, server.endpoint))
        script = f"set -eu\n{shell.replace(address, server.endpoint)}\n'{sys.executable}' first.py\n"
        printed = run(["bash", "-c", script], env=env, cwd=tmp_path)
        listed = printed.splitlines()[-len(files):]
        assert sorted(line.split()[-1] for line in listed) == sorted(f"v1/{name}" for name in files), printed
        s3 = server.boto3()
        for name, content in files.items():
            assert s3.get_object(Bucket="corpus", Key=f"v1/{name}")["Body"].read() == content
        assert s3.get_object(Bucket="corpus", Key="checkpoints/step-1000.pt")["Body"].read() == checkpoint
    assert (tmp_path / "back.pt").read_bytes() == checkpoint
