"""Torrents of objects: what is in them is checked against the object, as a client of BitTorrent would."""

import hashlib

import pytest

from harness import refusal, seeded_bytes

MIB = 1024 * 1024


def read(data, at=0):
    """A value of the format of torrents, and where it ends."""
    if data[at:at + 1] == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if data[at:at + 1] == b"d":
        members, at = [], at + 1
        while data[at:at + 1] != b"e":
            name, at = read(data, at)
            value, at = read(data, at)
            members.append((name.decode(), value))
        assert members == sorted(members, key=lambda member: member[0])
        return dict(members), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1:end], end


@pytest.mark.parametrize("length", [0, 1, 256 * 1024, 256 * 1024 + 1, 7 * MIB])
def test_the_hashes_are_those_of_the_object(server, bucket, length):
    s3 = server.boto3()
    content = seeded_bytes(length, length)
    s3.put_object(Bucket=bucket, Key="a b/c.bin", Body=content)
    answer = s3.get_object_torrent(Bucket=bucket, Key="a b/c.bin")
    data = answer["Body"].read()
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/x-bittorrent" and int(headers["content-length"]) == len(data)
    torrent, end = read(data)
    assert end == len(data)
    info = torrent["info"]
    assert (info["length"], info["name"]) == (length, b"c.bin")
    assert torrent["url-list"].decode() == f"{server.endpoint}/{bucket}/a%20b/c.bin"
    size = info["piece length"]
    hashes = [hashlib.sha1(content[at:at + size]).digest() for at in range(0, length, size)]
    assert info["pieces"] == b"".join(hashes)


def test_what_is_not_there_has_no_torrent(server, bucket):
    assert refusal(server.boto3().get_object_torrent, Bucket=bucket, Key="none") == (404, "NoSuchKey")
