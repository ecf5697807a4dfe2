"""The store that processes and replicas share: a Redis or Valkey, behind one client.

::

    TAKE = Script("return redis.call('DECRBY', KEYS[1], ARGV[1])")
    patience = Patience()                    # one a request: 50 ms for all it asks of the store
    try:
        found = await store.run(command("GET", key("cache", digest)), patience)
        left = await store.run(TAKE.on([key("limit", "ip", address)], 1), patience)
    except StoreUnavailable:
        ...                                  # a miss; a local count; whatever goes without

Where to read on: `client` (what is promised), `link` (what makes it cheap), `channel` and
`circuit` (passing by, and coming back), `address` (URLs), `networks` (from an address to a
client), `embedded` (our own Valkey).
"""

from .address import Address, parse
from .channel import Change, ChannelStatistics
from .client import StoreClient, StoreStatistics
from .embedded import EmbeddedStore, Place, StoreStartError
from .errors import StoreRefused, StoreUnavailable, StoreUrlError
from .keys import key
from .networks import open_client
from .operation import Op, Script, command
from .patience import Patience
from .remote import RemoteStore
from .settings import EMBEDDED, StoreSettings
from .subscription import Gap, Published

__all__ = [
    "EMBEDDED",
    "Address",
    "Change",
    "ChannelStatistics",
    "EmbeddedStore",
    "Gap",
    "Op",
    "Patience",
    "Place",
    "Published",
    "RemoteStore",
    "Script",
    "StoreClient",
    "StoreRefused",
    "StoreSettings",
    "StoreStartError",
    "StoreStatistics",
    "StoreUnavailable",
    "StoreUrlError",
    "command",
    "key",
    "open_client",
    "parse",
]
