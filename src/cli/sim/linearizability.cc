#include "cli/sim/linearizability.h"

#include <algorithm>
#include <set>

#include "orrery/base/hash.h"

namespace orrery::cli {
namespace {

using Kind = RegisterOp::Kind;

std::string Describe(const RegisterOp& op) {
  const std::string interval = "[" + std::to_string(op.invoked) + ", " +
                               (op.returned == RegisterOp::kNever ? "?" : std::to_string(op.returned)) + "] " + op.who;
  switch (op.kind) {
    case Kind::kRead: return "read of " + std::to_string(op.value) + " " + interval;
    case Kind::kWrite: return "write of " + std::to_string(op.value) + " " + interval;
    case Kind::kCas: break;
  }
  return "change of " + std::to_string(op.expected) + " to " + std::to_string(op.value) + " " + interval;
}

// Whether `op` may come next when the register holds `state`, which it changes.
bool Apply(const RegisterOp& op, uint64_t& state) {
  if (op.kind == Kind::kRead) return op.value == state;
  if (op.kind == Kind::kCas && op.expected != state) return false;
  state = op.value;
  return true;
}

// An effect of unknown outcome that nobody has seen need not have happened: without it, what is left of the
// history allows all that it allowed with it. Repeated, as one such operation may have been another's only witness.
void DropUnseen(std::vector<RegisterOp>& ops) {
  for (bool dropped = true; dropped;) {
    std::multiset<uint64_t> seen;
    for (const RegisterOp& op : ops) {
      if (op.kind == Kind::kRead) seen.insert(op.value);
      if (op.kind == Kind::kCas) seen.insert(op.expected);
    }
    dropped = std::erase_if(ops, [&](const RegisterOp& op) {
                return op.returned == RegisterOp::kNever && !seen.contains(op.value);
              }) > 0;
  }
}

// Depth-first over the orders that respect real time: next comes an operation that was invoked before any
// other unplaced one returned. A set of placed operations with the same register value is searched once.
class Search {
 public:
  Search(const std::vector<RegisterOp>& ops, uint64_t initial, uint64_t steps_max)
      : ops_(ops), placed_(ops.size(), false), state_(initial), steps_max_(steps_max) {
    for (const RegisterOp& op : ops) known_left_ += op.returned != RegisterOp::kNever;
  }

  RegisterVerdict Run() {
    RegisterVerdict verdict;
    while (known_left_ > 0) {
      if (++steps_ > steps_max_) {
        verdict.undecided = true;
        return verdict;
      }
      const size_t next = NextCandidate(from_);
      if (next < ops_.size()) {
        Place(next);
        if (seen_.insert({name_, state_}).second) {
          from_ = first_unplaced_;
          continue;
        }
        Unplace();  // been here: go on with the sibling
        continue;
      }
      if (frames_.empty()) break;
      RememberDeepest();
      Unplace();
    }
    verdict.linearizable = known_left_ == 0;
    if (!verdict.linearizable) verdict.explanation = Explain();
    return verdict;
  }

 private:
  struct Frame {
    size_t op;
    uint64_t state_before;
    size_t first_before;
  };

  // The first fitting operation at or after `from`; the number of operations if there is none. Operations are
  // sorted by invocation, so the search ends at the first one invoked after some unplaced one returned.
  size_t NextCandidate(size_t from) {
    int64_t earliest_return = RegisterOp::kNever;
    for (size_t i = first_unplaced_; i < ops_.size() && ops_[i].invoked <= earliest_return; ++i) {
      if (placed_[i]) continue;
      if (i >= from) {
        uint64_t state = state_;
        if (Apply(ops_[i], state) && !EarlierReturn(i)) return i;
      }
      earliest_return = std::min(earliest_return, ops_[i].returned);
    }
    return ops_.size();
  }
  // Some unplaced operation returned before operation i was invoked.
  bool EarlierReturn(size_t i) const {
    for (size_t j = first_unplaced_; j < i; ++j) {
      if (!placed_[j] && ops_[j].returned < ops_[i].invoked) return true;
    }
    return false;
  }
  void Place(size_t i) {
    frames_.push_back({i, state_, first_unplaced_});
    placed_[i] = true;
    name_.Toggle(i);
    Apply(ops_[i], state_);
    known_left_ -= ops_[i].returned != RegisterOp::kNever;
    while (first_unplaced_ < ops_.size() && placed_[first_unplaced_]) ++first_unplaced_;
  }
  void Unplace() {
    const Frame frame = frames_.back();
    frames_.pop_back();
    placed_[frame.op] = false;
    name_.Toggle(frame.op);
    state_ = frame.state_before;
    first_unplaced_ = frame.first_before;
    known_left_ += ops_[frame.op].returned != RegisterOp::kNever;
    from_ = frame.op + 1;
  }
  void RememberDeepest() {
    if (frames_.size() < deepest_ && deepest_ != 0) return;
    deepest_ = frames_.size();
    deepest_state_ = state_;
    deepest_first_ = first_unplaced_;
  }
  std::string Explain() const {
    std::string text = "after " + std::to_string(deepest_) + " of " + std::to_string(ops_.size()) +
                       " operations the register holds " + std::to_string(deepest_state_) + " and none of these fits next:";
    size_t shown = 0;
    for (size_t i = deepest_first_; i < ops_.size() && shown < 6; ++i, ++shown) text += "\n    " + Describe(ops_[i]);
    return text;
  }
  // Two independent 64-bit sums make a set of operations practically its own name.
  struct Name {
    uint64_t a = 0;
    uint64_t b = 0;
    friend auto operator<=>(const Name&, const Name&) = default;
    void Toggle(size_t i) {
      const std::string text = std::to_string(i);
      a ^= Hash64(text, 1);
      b ^= Hash64(text, 2);
    }
  };

  const std::vector<RegisterOp>& ops_;
  std::vector<bool> placed_;
  uint64_t state_;
  const uint64_t steps_max_;
  uint64_t steps_ = 0;
  size_t known_left_ = 0;
  size_t first_unplaced_ = 0;
  size_t from_ = 0;
  Name name_;
  std::vector<Frame> frames_;
  std::set<std::pair<Name, uint64_t>> seen_;
  size_t deepest_ = 0;
  uint64_t deepest_state_ = 0;
  size_t deepest_first_ = 0;
};

}  // namespace

RegisterVerdict CheckRegister(std::vector<RegisterOp> ops, uint64_t initial, uint64_t steps_max) {
  DropUnseen(ops);
  std::stable_sort(ops.begin(), ops.end(), [](const auto& a, const auto& b) { return a.invoked < b.invoked; });
  return Search(ops, initial, steps_max).Run();
}

}  // namespace orrery::cli
