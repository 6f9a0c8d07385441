// What lanes have in common: TCP connections of one node to another that are not gRPC's. How one begins, which end
// is whose, and the lengths before its batches (docs/formats/node_frames.md). Functions; thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "orrery/runtime/threads_runtime.h"
#include "runtime/frame.h"
#include "runtime/threads/node_identity.h"
#include "runtime/threads/socket_stream.h"

namespace orrery::runtime {

// The first bytes of a lane, of one size; those of gRPC are HTTP/2's "PRI * HTTP/2.0" (RFC 9113, 3.4), so that the
// first byte tells who has come to the port.
inline constexpr std::string_view kMessageLanePreface = "ORRERY LANE 1\r\n\r\n";
inline constexpr std::string_view kCallLanePreface = "ORRERY CALL 1\r\n\r\n";
inline constexpr char kGrpcFirstByte = 'P';

inline constexpr size_t kLaneLengthBytes = 4;       // big-endian, before each batch and hello
inline constexpr size_t kFrameHeadBytesMax = 64;    // of one message: header and lengths

// A length stands at `at`; what follows it in `bytes` is what it counts.
void SetLaneLength(std::string& bytes, size_t at);
size_t LaneLength(std::string_view bytes);
// A batch of one frame, with its length.
std::string EncodeLaneBatch(const FrameHeader& header, std::string_view payload);

// How long the caller still waits, as a frame says it: rounded up; 0: for ever. And back.
uint64_t MillisecondsLeft(const Context& context);
Context WithMillisecondsLeft(const Context& context, uint64_t timeout_ms);

// Connects, says who we are and hears who is there, within 2 s. Unavailable: nobody, another node than `peer`, a
// node of another cluster. The kernel ends the connection 2.5 s after the first byte that is not acknowledged.
StatusOr<std::unique_ptr<SocketStream>> ConnectLane(const Context& context, std::string_view preface,
                                                    const NodeIdentity& self, NodeId peer, std::string_view address);

// Who has come, and for what.
struct LaneGreeting {
  bool calls = false;  // a call lane; else one of messages
  NodeId from;
};
// The other end of ConnectLane. DataLoss: bytes that no node sends; FailedPrecondition: a node of another cluster,
// which has been told.
StatusOr<LaneGreeting> AcceptLane(const Context& context, SocketStream& stream, const NodeIdentity& self);

}  // namespace orrery::runtime
