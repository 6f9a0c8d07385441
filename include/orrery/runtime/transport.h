// Transport: messages between nodes, and byte streams for clients. In production gRPC streams, lanes and sockets;
// in simulation virtual wires that delay, lose, duplicate and reorder — still as bytes. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/ids.h"
#include "orrery/base/status.h"
#include "orrery/base/status_or.h"
#include "orrery/base/wire.h"
#include "orrery/runtime/context.h"

namespace orrery::runtime {

// Every kind of message between nodes. Numbers are wire format: never re-used.
enum class Method : uint16_t {
  kRaftMessages = 1,    // one-way: kv/store, batch of Raft messages of many ranges
  kKvBatch = 2,         // call: kv::BatchRequest → kv::BatchResponse
  kRaftSnapshot = 3,    // call: chunks of a RaftSnapshot
  kGossip = 4,          // one-way and call: kv/cluster membership and liveness exchange
  kJoin = 5,            // call by address: a new node asks for its identity
  kBootstrap = 6,       // call by address: dbctl init
  kStoreStatus = 7,     // call: kv/store statistics for dbctl and views
  kSqlCancel = 8,       // call: a cancel request that belongs to another node
  kDescriptorLease = 9, // call: sql/catalog asks a node to let go of an old descriptor version
  kDebug = 10,          // call: fault hooks of test builds
};

// Who asks: the sender's node, none for an unidentified caller (dbctl, a joining node).
using CallHandler = std::function<StatusOr<std::string>(const Context&, NodeId from, std::string_view request)>;
using MessageHandler = std::function<void(const Context&, NodeId from, std::string_view message)>;

class Transport {
 public:
  virtual ~Transport() = default;
  // Who this node is. Peers of another cluster are refused from then on; until then (a node that has not joined)
  // only calls by address work, both ways. The node never changes; may precede Start.
  virtual void SetIdentity(NodeId node, std::string_view cluster_id) = 0;
  // Listens for peers at "host:port" and serves the registered handlers, whose contexts are below `context`.
  // Returns the address as bound. FailedPrecondition, naming the address, when it is taken. Once.
  virtual StatusOr<std::string> Start(const Context& context, std::string_view rpc_address) = 0;
  // Ends all streams, cancels the handlers and waits for them. Later calls are Unavailable. Idempotent.
  virtual void Stop() = 0;
  // Where a node is reached ("127.0.0.1:7001"). May be called again when the address changes.
  virtual void SetAddress(NodeId node, std::string_view address) = 0;
  // Request and response. Unavailable: certainly not executed. Ambiguous/DeadlineExceeded/Cancelled: perhaps.
  // The handler's Status comes back with code, SQLSTATE, message and error fields; payloads do not travel
  // (typed errors are part of the response messages that need them).
  virtual StatusOr<std::string> Call(const Context& context, NodeId to, Method method, std::string_view request) = 0;
  // The same for a node known by its address only. The handler sees no sender. FailedPrecondition: a node of
  // another cluster answers there.
  virtual StatusOr<std::string> CallAddress(const Context& context, std::string_view address, Method method,
                                            std::string_view request) = 0;
  // Best effort: may be lost, duplicated, reordered; never blocks; drops when the peer's queue is full.
  virtual void Send(NodeId to, Method method, std::string message) = 0;
  // Register before Start. Call handlers run on tasks that may wait; their Context
  // carries the caller's deadline and is cancelled when the caller gives up or goes away. Messages of one
  // sender and Method arrive one at a time, in the order received, on the task that reads the wire:
  // a MessageHandler must not wait for anything but a short mutex.
  virtual void Serve(Method method, CallHandler handler) = 0;
  virtual void ServeOneWay(Method method, MessageHandler handler) = 0;
};

template <class Request, class Response>
Status CallMessage(Transport& transport, const Context& context, NodeId to, Method method, const Request& request,
                   Response& response) {
  auto bytes = transport.Call(context, to, method, wire::Encode(request));
  if (!bytes.ok()) return bytes.status();
  return wire::Decode(*bytes, response);
}

// A client's connection: bytes both ways. One task at a time reads, one writes. A wait that ends by
// cancellation ends its half of the stream for good (a cancelled Read: no more reads, but an answer can still
// be written); one that ends by its deadline leaves the stream as it was. Unavailable: the peer has gone.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // At least one byte into `buffer`, the count; 0 at the end of the stream.
  virtual StatusOr<size_t> Read(const Context& context, char* buffer, size_t size) = 0;
  // The same without waiting: empty if there is nothing to read now.
  virtual StatusOr<std::optional<size_t>> TryRead(char* buffer, size_t size) = 0;
  virtual Status Write(const Context& context, std::string_view bytes) = 0;  // all of them
  // True if a Read would return at once (bytes or end of stream). Never blocks.
  virtual bool Readable() = 0;
  virtual std::string peer() const = 0;  // "127.0.0.1:40312", for logs
  virtual void Close() = 0;              // any task may call it; ends Reads and Writes
};

// Cancelling an Accept closes the listener; a deadline does not. Running out of file descriptors does not
// end Accept: it waits until some are free.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual std::string address() const = 0;  // as bound: the real port where 0 was asked
  virtual StatusOr<std::unique_ptr<ByteStream>> Accept(const Context& context) = 0;
  virtual void Close() = 0;
};

class StreamServer;         // stream_server.h
struct StreamServerOptions;

class Network {
 public:
  virtual ~Network() = default;
  // "host:port", or "unix:/path". FailedPrecondition naming the address when it is taken.
  virtual StatusOr<std::unique_ptr<Listener>> Listen(std::string_view address) = 0;
  virtual StatusOr<std::unique_ptr<ByteStream>> Connect(const Context& context, std::string_view address) = 0;
  // Serves streams of this network, with few tasks for many of them.
  virtual std::unique_ptr<StreamServer> NewStreamServer(const Context& context,
                                                        const StreamServerOptions& options) = 0;
};

}  // namespace orrery::runtime
