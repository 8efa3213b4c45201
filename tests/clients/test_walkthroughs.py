"""The walk-throughs of the documentation, as aws-cli runs them."""

from harness import program, running
from walkthrough import walk


def test_every_command_of_the_page_about_s3api_prints_what_the_page_says(tmp_path):
    program("aws")
    with running() as server:
        walk("s3api.md", env=server.client_env(), cwd=tmp_path)
