// SocketNetwork: byte streams over TCP and unix sockets.
#pragma once

#include "orrery/runtime/transport.h"
#include "runtime/threads/socket_stream.h"

namespace orrery::runtime {

// As Network::Connect. Its streams, and those of a SocketNetwork's listeners, are SocketStreams.
StatusOr<std::unique_ptr<SocketStream>> ConnectSocket(const Context& context, std::string_view address);

class SocketNetwork final : public Network {
 public:
  StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) override;
  StatusOr<std::unique_ptr<ByteStream>> Connect(const Context& context, std::string_view address) override;
  std::unique_ptr<StreamServer> NewStreamServer(const Context& context, const StreamServerOptions& options) override;
};

}  // namespace orrery::runtime
