// Frames: what travels on the streams between nodes (docs/formats/node_frames.md). A gRPC message is a batch
// of frames; a frame is varint(header length), header, varint(payload length), payload. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "orrery/base/wire.h"
#include "orrery/runtime/transport.h"

namespace orrery::runtime {

enum class FrameKind : uint8_t {
  kMessage = 1,   // one-way
  kCall = 2,      // wants kResponse or kFailure with the same call id
  kCancel = 3,    // the caller of the call id has given up
  kResponse = 4,  // payload: what the handler returned
  kFailure = 5,   // payload: StatusMessage
};

struct FrameHeader {
  FrameKind kind = FrameKind::kMessage;
  Method method{};
  uint64_t call_id = 0;      // of the caller, unique on its stream
  uint64_t timeout_ms = 0;   // kCall: what is left of the caller's deadline; 0: none

  template <class V>
  void Visit(V& v) {
    v(1, kind);
    v(2, method);
    v(3, call_id);
    v(4, timeout_ms);
  }
};

inline void AppendFrame(std::string& out, const FrameHeader& header, std::string_view payload) {
  const std::string encoded = wire::Encode(header);
  wire::AppendVarint(out, encoded.size());
  out.append(encoded);
  wire::AppendVarint(out, payload.size());
  out.append(payload);
}

// Splits the first frame off `batch`. `payload` points into it. DataLoss on malformed bytes.
inline Status NextFrame(std::string_view& batch, FrameHeader& header, std::string_view& payload) {
  uint64_t size = 0;
  if (!wire::ReadVarint(batch, size) || size > batch.size()) return DataLossError("malformed frame header");
  RETURN_IF_ERROR(wire::Decode(batch.substr(0, size), header));
  batch.remove_prefix(size);
  if (!wire::ReadVarint(batch, size) || size > batch.size()) return DataLossError("truncated frame");
  payload = batch.substr(0, size);
  batch.remove_prefix(size);
  return OkStatus();
}

}  // namespace orrery::runtime
