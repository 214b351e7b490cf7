"""Sends packets that are to be dropped: send.py KIND ADDRESS PORT COUNT [SIZE | DEVICE MAC SOURCE]"""

import socket
import struct
import sys

kind, address, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(device, mac, source):
    """Returns an Ethernet frame with an IP packet of a kind that its receiver drops."""
    own = bytes.fromhex(open("/sys/class/net/%s/address" % device).read().strip().replace(":", ""))
    udp = struct.pack("!HHHH", 5, port, 9, 0xDEAD if kind == "udp-checksum" else 0) + b"x"
    protocol = 253 if kind == "protocol" else 17
    ends = socket.inet_aton(source), socket.inet_aton(address)
    ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, protocol, 0, *ends))
    ip[10:12] = struct.pack("!H", checksum(bytes(ip)))
    return bytes.fromhex(mac.replace(":", "")) + own + b"\x08\0" + bytes(ip) + udp


if kind in ("udp", "ttl"):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if kind == "ttl":
        out.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
    size = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    for _ in range(count):
        try:
            out.sendto(b"x" * size, (address, port))
        except OSError:
            # The error of a datagram before it, after which this one is sent.
            out.sendto(b"x" * size, (address, port))
elif kind == "tcp":
    for _ in range(count):
        out = socket.socket()
        assert out.connect_ex((address, port)) != 0
        out.close()
elif kind == "hold":
    # A socket that is never read, with the smallest buffer, until the standard input ends.
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    out.bind((address, port))
    print("bound", flush=True)
    sys.stdin.read()
else:
    device, mac, source = sys.argv[5:8]
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((device, 0x800))
    data = frame(device, mac, source)
    for _ in range(count):
        out.send(data)
