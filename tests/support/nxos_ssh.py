"""Devices on SSH, each on a port of its own of this machine. For tests only."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

import paramiko

from .nxos_device import Device, Refused


class Login(paramiko.ServerInterface):
    def check_auth_password(self, username, password):
        return paramiko.AUTH_SUCCESSFUL if (username, password) == ("admin", "a login") else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username):
        return "password"

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_pty_request(self, channel, term, width, height, pixelwidth, pixelheight, modes):
        return True

    def check_channel_shell_request(self, channel):
        return True


class Server:
    """Serves devices, each on a port of its own of 127.0.0.1, until close()."""

    def __init__(self):
        self.key = paramiko.ECDSAKey.generate()
        self.sockets: list[socket.socket] = []

    def serve(self, device: Device) -> int:
        """The port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener, device), daemon=True).start()
        return listener.getsockname()[1]

    def close(self) -> None:
        for listener in self.sockets:
            listener.close()

    def _accept(self, listener: socket.socket, device: Device) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(client, device), daemon=True).start()

    def _session(self, client: socket.socket, device: Device) -> None:
        transport = paramiko.Transport(client)
        transport.add_server_key(self.key)
        transport.start_server(server=Login())
        channel = transport.accept(20)
        if channel is None:
            return
        if device.is_cut:
            transport.close()
            return
        device.connections += 1
        device.in_config, device.stack = False, []
        with contextlib.suppress(ConnectionAbortedError, OSError):
            talk(device, typed(channel), lambda text: channel.sendall(text.replace("\n", "\r\n").encode()))
        transport.close()


def typed(channel: paramiko.Channel) -> Iterator[str]:
    """Lines as they are typed: each ends with the key Enter."""
    text = ""
    while data := channel.recv(4096):
        *lines, text = re.split(r"[\r\n]", text + data.decode())
        yield from lines


def talk(device: Device, lines: Iterator[str], say: Callable[[str], None]) -> None:
    def prompt() -> str:
        return f"\n{device.prompt}{'(config)' if device.in_config else ''}# "

    say(prompt())
    for typed_line in lines:
        line = typed_line.strip()
        if line == "exit" and not device.in_config:
            return
        say(f"{line}\n")
        try:
            answer = device.command(line) if line else ""
        except Refused as refused:
            answer = f"{line}\n   ^\n{refused}"
        say(answer + prompt())
