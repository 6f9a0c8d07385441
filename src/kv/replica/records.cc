#include "kv/replica/records.h"

#include <algorithm>

#include "orrery/base/hash.h"

namespace orrery::kv {
namespace {

uint32_t RecordChecksum(std::string_view key, std::string_view message) {
  return uint32_t(Hash64(message, Hash64(key)));
}

}  // namespace

std::string SealRecord(std::string_view key, std::string_view message) {
  std::string out;
  out.reserve(kRecordChecksumBytes + message.size());
  out.append(kRecordChecksumBytes, '\0').append(message);
  SealRecordInPlace(key, out);
  return out;
}

void SealRecordInPlace(std::string_view key, std::string& record) {
  const uint32_t checksum = RecordChecksum(key, std::string_view(record).substr(kRecordChecksumBytes));
  for (size_t i = 0; i < kRecordChecksumBytes; ++i) record[i] = char(checksum >> (8 * i));
}

StatusOr<std::string_view> OpenRecord(std::string_view key, std::string_view bytes) {
  if (bytes.size() < kRecordChecksumBytes) return DataLossError("record is shorter than its checksum");
  uint32_t stored = 0;
  for (size_t i = 0; i < kRecordChecksumBytes; ++i) stored |= uint32_t(uint8_t(bytes[i])) << (8 * i);
  const std::string_view message = bytes.substr(kRecordChecksumBytes);
  if (stored != RecordChecksum(key, message)) {
    return DataLossError("checksum of the record at " + Printable(key) + " is wrong");
  }
  return message;
}

raft::ConfState ConfStateOf(const RangeDescriptor& descriptor) {
  raft::ConfState conf;
  for (const auto& replica : descriptor.replicas) {
    (replica.type == ReplicaType::kLearner ? conf.learners : conf.voters).push_back(replica.replica);
  }
  std::sort(conf.voters.begin(), conf.voters.end());
  std::sort(conf.learners.begin(), conf.learners.end());
  return conf;
}

raft::ConfChange ConfChangeBetween(const RangeDescriptor& from, const RangeDescriptor& to) {
  raft::ConfChange change;
  for (const auto& replica : to.replicas) {
    const ReplicaDescriptor* before = from.FindReplica(replica.replica);
    if (before && before->type == replica.type) continue;
    const auto kind = replica.type == ReplicaType::kLearner ? raft::ConfChangeKind::kAddLearner
                                                            : raft::ConfChangeKind::kAddVoter;
    change.steps.push_back({kind, replica.replica});
  }
  for (const auto& replica : from.replicas) {
    if (!to.FindReplica(replica.replica)) {
      change.steps.push_back({raft::ConfChangeKind::kRemoveLearner, replica.replica});
    }
  }
  return change;
}

}  // namespace orrery::kv
