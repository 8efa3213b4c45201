"""Puts, gets and deletes through s3transfer's manager on the AWS common runtime (awscrt).

Arguments: endpoint, bucket, scratch directory, and the certificate to trust with TLS. boto3's own
switch to it is in `crt_preferred.py`.
"""

import sys
import time
from pathlib import Path

import botocore.session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

from harness import REGION, seeded_bytes

SIZES = [0, 1, 70_000, 30 * 1024 * 1024 + 3]


def wait_for(path):
    """The manager's future is done before its callback has given the downloaded file its name."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never appeared"
        time.sleep(0.01)


def main(endpoint, bucket, scratch, certificate=None):
    session = botocore.session.get_session()
    session.set_config_variable("region", REGION)
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider()
    client = create_s3_crt_client(
        REGION, crt_credentials_provider=credentials, use_ssl=certificate is not None, verify=certificate,
        part_size=8 * 1024 * 1024)
    serializer = BotocoreCRTRequestSerializer(session, {"region_name": REGION, "endpoint_url": endpoint})
    with CRTTransferManager(client, serializer) as manager:
        for size in SIZES:
            source, target = Path(scratch, f"source-{size}"), Path(scratch, f"target-{size}")
            source.write_bytes(seeded_bytes(size, size))
            manager.upload(str(source), bucket, f"crt-{size}").result()
            manager.download(bucket, f"crt-{size}", str(target)).result()
            wait_for(target)
            assert target.read_bytes() == source.read_bytes(), size
            manager.delete(bucket, f"crt-{size}").result()


if __name__ == "__main__":
    main(*sys.argv[1:])
