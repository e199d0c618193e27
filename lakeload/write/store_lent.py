"""S3 with what a catalog lends: keys that are renewed before they end, or a signature for every request.

A REST catalog can let its clients into the storage of a table so that they need no keys of their own. Every
step from write to commit then goes through the filesystem made here.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import fsspec

    from lakeload.loans import Lender, Loan
    from lakeload.storage_options import StorageOptions


def lent_filesystem(options: StorageOptions, lender: Lender) -> fsspec.AbstractFileSystem:
    """An S3 filesystem that asks the lender whenever it needs to.

    Args:
        options: Endpoint and region, where the user gave them.
        lender: Lends keys or signatures.

    Raises:
        CatalogError: The catalog refused or did not answer.
    """
    from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # has no types
    from s3fs import S3FileSystem

    loan = lender.lend()
    current = {**options.values, **loan.values}
    session, config = AioSession(), dict[str, Any]()
    if loan.signs:
        # The catalog signs what it is shown; a checksum that trails the body would not be part of that.
        config = {"request_checksum_calculation": "when_required"}
        session.register("before-sign.s3", _signed_by(lender))
    else:
        session.register_component("credential_provider", _Provider(lender))
    client = {"endpoint_url": current.get("aws_endpoint_url"), "region_name": current.get("aws_region")}
    if options.path_style or "aws_endpoint_url" in loan.values:
        config["s3"] = {"addressing_style": "path"}
    return S3FileSystem(
        anon=loan.signs,  # not signed by the client
        session=session,
        client_kwargs={key: value for key, value in client.items() if value},
        config_kwargs=config,
        use_listings_cache=False,
        skip_instance_cache=True,
    )


class _Provider:
    """Where botocore gets keys from; it comes back for new ones before those it has end."""

    def __init__(self, lender: Lender) -> None:
        self._lender = lender

    async def load_credentials(self) -> Any:
        from asyncio import to_thread

        from aiobotocore import credentials  # type: ignore[import-untyped]  # has no types

        loan = await to_thread(self._lender.lend)
        if loan.until is None:
            facts = _facts(loan)
            return credentials.AioCredentials(
                facts["access_key"], facts["secret_key"], facts["token"], "lent"
            )

        async def again() -> dict[str, Any]:
            return _facts(await to_thread(self._lender.lend))

        return credentials.AioRefreshableCredentials.create_from_metadata(_facts(loan), again, "lent")


def _facts(loan: Loan) -> dict[str, Any]:
    return {
        "access_key": loan.values.get("aws_access_key_id"),
        "secret_key": loan.values.get("aws_secret_access_key"),
        "token": loan.values.get("aws_session_token"),
        "expiry_time": dt.datetime.fromtimestamp(loan.until or 0, dt.UTC).isoformat(),
    }


def _signed_by(lender: Lender) -> Any:
    from asyncio import to_thread

    async def sign(request: Any, **_: object) -> None:
        given = {name: [value] for name, value in request.headers.items()}
        region = request.context.get("client_region") or "us-east-1"
        url, headers = await to_thread(lender.sign, request.method, request.url, region, given)
        for name, values in headers.items():
            del request.headers[name]
            request.headers[name] = ", ".join(values)
        request.url = url

    return sign
