import {
  connect,
  createServer,
  type ListenOptions,
  type Socket,
  type TcpSocketConnectOpts,
  type IpcSocketConnectOpts,
} from 'node:net';

export interface Join {
  /** Cuts the connections that are open now. */
  cut(): void;
  close(): void;
}

/**
 * Joins each connection to `from` with a new one to `to`. Unix sockets are reached by path, also across network
 * namespaces: that is how the private network of the storage nodes and this machine meet.
 */
export async function joinSockets(from: ListenOptions, to: TcpSocketConnectOpts | IpcSocketConnectOpts): Promise<Join> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ ...to, allowHalfOpen: true });
    open.add(near);
    pour(near, far);
    pour(far, near);
    near.on('close', () => open.delete(near));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(from, resolve);
  });
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  return {
    cut,
    close() {
      server.close();
      cut();
    },
  };
}

/** Like pipe, and a connection that breaks off (rather than ends) breaks the other off too, losing nothing else. */
function pour(from: Socket, to: Socket): void {
  from.on('error', () => to.destroy());
  from.on('close', () => from.readableEnded || to.destroy());
  from.pipe(to);
}
