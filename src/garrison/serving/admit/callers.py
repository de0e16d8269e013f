"""Of whom limits are kept."""

import ipaddress

from garrison.serving.calls import Call


def caller(call: Call) -> str:
    """A principal within its tenant; of anonymous ones the address, and of IPv6 the network of 64 bits, all of which
    one customer has."""
    principal = call.principal
    if principal.method:
        return f"p{len(principal.tenant)}:{principal.tenant}:{principal.name}"
    return "a" + network(call.peer.address)


def network(address: str) -> str:
    if ":" not in address:
        return address
    try:
        read = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if read.ipv4_mapped is not None:
        return str(read.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(read) >> 64 << 64, 64)).network_address)
