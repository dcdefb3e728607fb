"""The steps of a call: find its service, verify the signature, apply faults, respond."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from secret_sync.local.cloud.errors import CloudApiError
from secret_sync.local.cloud.faults import FaultKind
from secret_sync.local.cloud.metadata import MetadataRequest, refusal
from secret_sync.local.cloud.services import METADATA_HOST, ServiceCall, is_alibaba
from secret_sync.local.cloud.verifier import Verifier
from secret_sync.local.cloud.wire import HttpReply, read, send

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

    from secret_sync.local.cloud.faults import Fault, Faults, SetFault
    from secret_sync.local.cloud.journal import CallRecord, Journal
    from secret_sync.local.cloud.metadata import Metadata
    from secret_sync.local.cloud.services import LocalService, ServiceRegistry
    from secret_sync.local.cloud.store import CloudStore
    from secret_sync.local.cloud.wire import IncomingRequest

_CREDENTIAL = re.compile(r"Credential=([^,\s]+)")
_HTML_502: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)
_CLIENT_CLOSED: Final = 499

_TOKENS: Final = frozenset(("OIDCToken", "SecurityToken"))
"""Parameters that have no place in a URL, whatever the protocol says of the second."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Answer = Callable[[web.BaseRequest, "CallRecord"], Awaitable[HttpReply]]


class Connections(web.Server):
    """An HTTP server that counts its connections and knows which of them have served a call."""

    def __init__(self, handler: Handler, journal: Journal, served: set[RequestHandler]) -> None:
        super().__init__(
            handler,
            # A call that hangs here ends when its client goes away.
            handler_cancellation=True,
            access_log=None,
            # Tokens travel in queries and headers.
            max_line_size=1 << 16,
            max_field_size=1 << 16,
        )
        self._journal = journal
        self._served = served
        self._transports: dict[RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count the connection."""
        self._journal.connections += 1
        self._transports[handler] = transport
        super().connection_made(handler, transport)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget the connection."""
        self._served.discard(handler)
        self._transports.pop(handler, None)
        super().connection_lost(handler, exc)

    async def stop(self, patience: float) -> None:
        """End all connections.

        Args:
            patience: Seconds that calls in flight have to come to an end.
        """
        self.pre_shutdown()
        await self.shutdown(patience)
        # A TLS connection that is closed waits for its client to agree, an idle one for ever.
        for transport in list(self._transports.values()):
            transport.abort()
        await asyncio.sleep(0)


class Gateway:
    """Answers calls; what it works on is shared with the admin API."""

    def __init__(
        self,
        store: CloudStore,
        services: ServiceRegistry,
        faults: Faults,
        journal: Journal,
        metadata: Metadata,
    ) -> None:
        self._store = store
        self._services = services
        self._faults = faults
        self._journal = journal
        self._metadata = metadata
        self._verifier = Verifier(store, store.now)
        self._served: set[RequestHandler] = set()

    def server(self, *, proxy: bool) -> Connections:
        """Return an HTTP server in front of this gateway.

        Args:
            proxy: Whether requests are those of a client to its proxy, with a whole URL.
        """
        handler = self._answer_proxied if proxy else self._answer
        return Connections(handler, self._journal, self._served)

    def metadata_server(self) -> Connections:
        """Return an HTTP server that is the metadata service and nothing else."""
        return Connections(self._answer_metadata, self._journal, self._served)

    async def _answer_proxied(self, request: web.BaseRequest) -> web.StreamResponse:
        url = urlsplit(request.raw_path)
        host = url.hostname or ""
        if url.scheme == "http" and is_alibaba(host):
            return await self._answer(request)
        if url.scheme == "http" and host == METADATA_HOST:
            return await self._answer_metadata(request)
        return web.Response(status=403, text="this proxy leads to the local Alibaba Cloud only\n")

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._attend(request, self._reply)

    async def _answer_metadata(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._attend(request, self._metadata_reply)

    async def _attend(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        record = self._journal.begin(self._store.now())
        status, code = _CLIENT_CLOSED, "ClientClosedRequest"
        try:
            reply = await answer(request, record)
            response = await send(request, reply)
            status, code = reply.status, reply.code
            return response
        finally:
            self._served.add(request.protocol)
            self._journal.end(record, status, code)

    async def _reply(self, request: web.BaseRequest, record: CallRecord) -> HttpReply:
        request_id = str(uuid.uuid4()).upper()
        try:
            service, call = self._admit(await read(request), record)
            hit = self._hit(request, record)
            if hit is not None and (reply := await _apply_fault(hit)) is not None:
                return reply
            body = service.actions[call.action](self._store, call)
        except CloudApiError as error:
            return self._refusal(error, request_id)
        body["RequestId"] = request_id
        return _paced(
            HttpReply(200, orjson.dumps(body), headers={"x-acs-request-id": request_id}), hit
        )

    async def _metadata_reply(self, request: web.BaseRequest, record: CallRecord) -> HttpReply:
        question = MetadataRequest.read((await read(request)).signed)
        record.action, record.subject = question.action, question.subject
        hit = self._hit(request, record)
        try:
            if hit is not None and (reply := await _apply_fault(hit)) is not None:
                return reply
        except CloudApiError as error:
            return refusal(error.status, error.code)
        return _paced(self._metadata.answer(question), hit)

    def _admit(
        self, incoming: IncomingRequest, record: CallRecord
    ) -> tuple[LocalService, ServiceCall]:
        """Find the service and check the signature; fill in the record."""
        parameters = incoming.parameters
        action, version, record.access_key = _identify(incoming)
        record.action = action
        record.token_in_url = any(name in _TOKENS for name, _ in incoming.signed.query)
        self._store.confidential.note(parameters.get("OIDCToken", ""))
        if not action:
            raise CloudApiError("MissingParameter", "x-acs-action is mandatory.")
        service, region = self._services.find(incoming.host, version)
        record.subject = parameters.get(service.subject, "")
        if action not in service.actions:
            raise CloudApiError("InvalidAction.NotFound")
        anonymous = action in service.anonymous
        principal = None if anonymous else self._verifier.verify(incoming.signed)
        return service, ServiceCall(action, region, parameters, principal)

    def _hit(self, request: web.BaseRequest, record: CallRecord) -> SetFault | None:
        if not self._faults:
            return None
        return self._faults.hit(
            record.action,
            record.subject,
            record.access_key,
            reused=request.protocol in self._served,
        )

    def _refusal(self, error: CloudApiError, request_id: str) -> HttpReply:
        body, content_type = error.body(request_id, xml=self._store.settings.xml_errors)
        headers = {"x-acs-request-id": request_id}
        if error.retry_after_ms is not None:
            headers["x-acs-retry-after"] = str(error.retry_after_ms)
        return HttpReply(error.status, body, error.code, content_type, headers)


def _identify(incoming: IncomingRequest) -> tuple[str, str, str]:
    """Return the action, the API version and the access key's id, none of them checked."""
    headers, parameters = incoming.signed.headers, incoming.parameters
    # RPC clients send the headers as well, but what they sign is the parameters.
    if "Action" in parameters and "authorization" not in headers:
        return (
            parameters["Action"],
            parameters.get("Version", ""),
            parameters.get("AccessKeyId", ""),
        )
    credential = _CREDENTIAL.search(headers.get("authorization", ""))
    key_id = credential[1] if credential else ""
    return headers.get("x-acs-action", ""), headers.get("x-acs-version", ""), key_id


def _paced(reply: HttpReply, hit: SetFault | None) -> HttpReply:
    """Return the reply, dripping if it was hit by such a fault."""
    if hit is not None and hit.fault.kind is FaultKind.DRIP:
        return replace(reply, drip=hit.fault.seconds)
    return reply


async def _apply_fault(hit: SetFault) -> HttpReply | None:
    """Apply a fault; return None if the call continues.

    Raises:
        CloudApiError: The fault is an error of the service.
    """
    fault = hit.fault
    if fault.kind is FaultKind.HANG:
        await hit.cleared.wait()
    elif fault.kind is FaultKind.DELAY:
        await asyncio.sleep(fault.seconds)
    elif fault.kind in {FaultKind.THROTTLE, FaultKind.ERROR}:
        default = "Rejected.Throttling" if fault.kind is FaultKind.THROTTLE else "InternalFailure"
        raise CloudApiError(
            fault.code or default,
            status=fault.status or None,
            retry_after_ms=fault.retry_after_ms,
        )
    return _broken(fault)


def _broken(fault: Fault) -> HttpReply | None:
    match fault.kind:
        case FaultKind.HTML:
            return HttpReply(fault.status or 502, _HTML_502, "HtmlBody", "text/html")
        case FaultKind.EMPTY:
            return HttpReply(fault.status or 503, b"", "EmptyBody")
        case FaultKind.BLANK:
            return HttpReply(200, b"", "EmptyBody")
        case FaultKind.CLOSE:
            return HttpReply(0, b"", "ConnectionClosed", close=True)
        case _:
            return None
