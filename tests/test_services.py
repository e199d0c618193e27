"""The services the other tests rest on do what those tests assume."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from services.seaweedfs import S3, RestCatalog, SeaweedFS, client

pytestmark = pytest.mark.s3


def test_object_that_exists_is_not_created_again(s3: S3, s3_prefix: str) -> None:
    key = f"{s3_prefix.removeprefix(f's3://{s3.bucket}/')}/x"
    connection = client(s3)
    connection.put_object(Bucket=s3.bucket, Key=key, Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        connection.put_object(Bucket=s3.bucket, Key=key, Body=b"2", IfNoneMatch="*")
    assert connection.get_object(Bucket=s3.bucket, Key=key)["Body"].read() == b"1"
    connection.close()


@pytest.mark.parametrize("options", ["read_only", "wrong_secret"])
def test_identity_without_the_right_to_write_is_refused(s3: S3, s3_prefix: str, options: str) -> None:
    given = getattr(s3, options)
    identity = S3(s3.endpoint, given["aws_access_key_id"], given["aws_secret_access_key"], "", "", s3.bucket)
    connection = client(identity)
    with pytest.raises(ClientError, match=r"AccessDenied|SignatureDoesNotMatch"):
        connection.put_object(Bucket=s3.bucket, Key=f"{s3_prefix.rsplit('/', 1)[-1]}/x", Body=b"1")
    connection.close()


def test_bucket_that_does_not_exist_is_not_made_by_writing(s3: S3) -> None:
    connection = client(s3)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        connection.put_object(Bucket="no-such-bucket", Key="x", Body=b"1")
    connection.close()


def test_iceberg_catalog_answers(
    rest_catalog: RestCatalog, seaweedfs: SeaweedFS, rest_namespace: str
) -> None:
    from pyiceberg.catalog import load_catalog

    catalog = load_catalog("rest", **rest_catalog.properties(seaweedfs.s3))
    catalog.create_namespace(rest_namespace)
    assert (rest_namespace,) in catalog.list_namespaces()
