/**
 * libp2p's TCP transport, made safe to abort. It hands its dial options, signal included, to net.connect, and listens for
 * the abort itself; when a dial is aborted while it connects, its own listener lets go of the socket first, and the
 * runtime's then raises an error event nobody hears, which ends the process. So net.connect must not see the signal:
 * it goes into the prototype, where reading finds it and copying does not.
 *
 * Of a listener that fails libp2p keeps the text alone, stack included, so the error itself is handed out here.
 */
import type { Listener, Transport } from "@libp2p/interface";
import { tcp } from "@libp2p/tcp";

type CreateTransport = ReturnType<typeof tcp>;

export function abortableTcp(
  onListenFailed: (address: string, error: unknown) => void,
): CreateTransport {
  const create = tcp();
  return (components) => {
    const transport: Transport = create(components);
    const createListener: Transport["createListener"] = transport.createListener.bind(transport);
    transport.createListener = (options) => {
      const listener = createListener(options);
      const listen: Listener["listen"] = listener.listen.bind(listener);
      listener.listen = async (address) => {
        try {
          await listen(address);
        } catch (error) {
          onListenFailed(address.toString(), error);
          throw error;
        }
      };
      return listener;
    };
    const dial: Transport["dial"] = transport.dial.bind(transport);
    transport.dial = (address, options) => {
      const { signal, upgrader, ...rest } = options;
      const shielded: typeof options = Object.assign(Object.create({ signal }), rest, {
        upgrader: {
          upgradeOutbound: (connection: Parameters<typeof upgrader.upgradeOutbound>[0]) =>
            upgrader.upgradeOutbound(connection, options),
        },
      });
      return dial(address, shielded);
    };
    return transport;
  };
}
