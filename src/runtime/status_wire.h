// A Status as bytes, for answers between nodes (docs/formats/node_frames.md). Payloads do not travel.
#pragma once

#include <string>
#include <string_view>

#include "orrery/base/status.h"
#include "orrery/base/wire.h"

namespace orrery::runtime {

struct StatusMessage {
  Code code = Code::kOk;
  std::string sqlstate;
  std::string message;
  ErrorFields fields;

  template <class V>
  void Visit(V& v) {
    v(1, code);
    v(2, sqlstate);
    v(3, message);
    v(4, fields.detail);
    v(5, fields.hint);
    v(6, fields.where);
    v(7, fields.schema);
    v(8, fields.table);
    v(9, fields.column);
    v(10, fields.data_type);
    v(11, fields.constraint);
    v(12, fields.position);
  }
};

inline std::string EncodeStatus(const Status& status) {
  return wire::Encode(StatusMessage{.code = status.code(),
                                    .sqlstate = std::string(status.sqlstate()),
                                    .message = std::string(status.message()),
                                    .fields = status.fields()});
}

// What the peer answered; DataLoss if its bytes make no sense. Never OK.
inline Status DecodeStatus(std::string_view bytes) {
  StatusMessage m;
  RETURN_IF_ERROR(wire::Decode(bytes, m));
  if (m.code == Code::kOk || m.code > Code::kAmbiguous || m.sqlstate.size() != 5)
    return DataLossError("malformed status from a peer");
  return Status(m.code, m.sqlstate, m.message).WithFields(std::move(m.fields));
}

}  // namespace orrery::runtime
