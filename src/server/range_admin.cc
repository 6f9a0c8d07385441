#include "server/range_admin.h"

#include <algorithm>
#include <atomic>
#include <deque>

#include "orrery/base/hash.h"
#include "orrery/kv/api/batch.h"
#include "orrery/kv/api/errors.h"
#include "orrery/kv/api/keys.h"
#include "orrery/runtime/runtime.h"

namespace orrery::server {
namespace {

constexpr size_t kSplitsAtOnce = 16;
// Another change of the same range is waited for: a lease that moves, a replica that is made.
constexpr Duration kPatience = 60s;
constexpr Duration kRetryPause = 20ms;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The key in the middle comes first, then those in the middle of both halves, and so on: neighbours in this order lie
// in different ranges, so that they can be split at once.
std::vector<std::string> MiddlesFirst(std::vector<std::string> sorted) {
  std::vector<std::string> out;
  out.reserve(sorted.size());
  std::deque<std::pair<size_t, size_t>> parts{{0, sorted.size()}};
  for (; !parts.empty(); parts.pop_front()) {
    const auto [begin, end] = parts.front();
    if (begin == end) continue;
    const size_t middle = begin + (end - begin) / 2;
    out.push_back(std::move(sorted[middle]));
    parts.emplace_back(begin, middle);
    parts.emplace_back(middle + 1, end);
  }
  return out;
}

Status SplitAt(const runtime::Context& context, kv::Sender& sender, const std::string& key) {
  const MonoTime limit = context.runtime().clock().MonoNow() + kPatience;
  for (;;) {
    kv::BatchRequest batch;
    batch.requests.push_back(kv::AdminSplitRequest{.split_key = key});
    const kv::BatchResponse response = sender.Send(context, batch);
    if (!response.error) return OkStatus();
    const Status status = kv::ToStatus(*response.error);
    const bool passes = status.code() == Code::kAborted || status.code() == Code::kAmbiguous || kv::GetError<kv::TxnRetryError>(status) ||
                        kv::GetError<kv::ConditionFailedError>(status);
    if (!passes || context.runtime().clock().MonoNow() >= limit) return status.Annotate("splitting at " + Printable(key));
    RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, kRetryPause));
  }
}

}  // namespace

StatusOr<std::string> KeyFromPrintable(std::string_view text) {
  std::string key;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      key.push_back(text[i]);
      continue;
    }
    const bool whole = i + 3 < text.size() && text[i + 1] == 'x';
    const int high = whole ? HexDigit(text[i + 2]) : -1;
    const int low = whole ? HexDigit(text[i + 3]) : -1;
    if (high < 0 || low < 0) return InvalidArgumentError("in a key, a backslash begins \\x and two hexadecimal digits");
    key.push_back(char(high * 16 + low));
    i += 3;
  }
  return key;
}

Status SplitRangesAt(const runtime::Context& context, kv::Sender& sender, std::vector<std::string> keys) {
  for (const std::string& key : keys) {
    if (key <= kv::kTableDataStart || key >= kv::kMaxKey) {
      return InvalidArgumentError("ranges are split within table data only, not at " + Printable(key));
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  const std::vector<std::string> ordered = MiddlesFirst(std::move(keys));
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  runtime::TaskGroup group(context, "range splits");
  for (size_t i = 0; i < std::min(kSplitsAtOnce, ordered.size()); ++i) {
    group.Spawn({.name = "range split"}, [&](const runtime::Context& task) -> Status {
      for (size_t at = next++; at < ordered.size() && !failed; at = next++) {
        const Status split = SplitAt(task, sender, ordered[at]);
        if (split.ok()) continue;
        failed = true;
        return split;
      }
      return OkStatus();
    });
  }
  return group.Join();
}

}  // namespace orrery::server
