#include "orrery/sql/session/session_manager.h"

#include "sql/session/session.h"

namespace orrery::sql {
namespace {

constexpr std::string_view kDatabase = "postgres";
constexpr std::string_view kRole = "postgres";

class SessionManager final : public SessionFactory {
 public:
  SessionManager(const SqlServices& services, const SessionLimits& limits) : shared_(services, limits) {}
  ~SessionManager() override {
    runtime::MutexLock lock(shared_.mutex);
    ORRERY_ASSERT(shared_.slots.empty(), "sessions end before their manager");
  }

  StatusOr<std::unique_ptr<ClientSession>> Open(const runtime::Context& context,
                                                const SessionStart& start) override {
    if (start.user != kRole) {
      return Status(Code::kPermissionDenied, "28000", "role \"" + start.user + "\" does not exist");
    }
    if (start.database != kDatabase) {
      return Status(Code::kNotFound, "3D000", "database \"" + start.database + "\" does not exist");
    }
    ASSIGN_OR_RETURN(std::shared_ptr<CancelSlot> slot, NewSlot(context));
    auto session = std::make_unique<Session>(shared_, std::move(slot), context, start);
    RETURN_IF_ERROR(session->ApplyStart(start));
    return std::unique_ptr<ClientSession>(std::move(session));
  }

  void Cancel(const runtime::Context& context, int32_t pid, int32_t secret) override {
    NodeId node = NodeOfPid(pid);
    if (node != shared_.services.node) {
      if (shared_.services.cancel_elsewhere) shared_.services.cancel_elsewhere(context, node, pid, secret);
      return;
    }
    std::shared_ptr<CancelSlot> slot;
    {
      runtime::MutexLock lock(shared_.mutex);
      auto it = shared_.slots.find(pid);
      if (it != shared_.slots.end() && it->second->secret() == secret) slot = it->second;
    }
    if (slot) slot->Cancel();
  }

 private:
  StatusOr<std::shared_ptr<CancelSlot>> NewSlot(const runtime::Context& context) {
    int32_t secret = int32_t(context.runtime().random().Next());
    runtime::MutexLock lock(shared_.mutex);
    if (shared_.slots.size() >= shared_.limits.sessions_max) {
      return Status(Code::kResourceExhausted, "53300", "sorry, too many clients already");
    }
    constexpr int32_t kCounterMax = (1 << kPidCounterBits) - 1;
    // The pid must be a positive int32: node ids beyond 11 bits share numbers, and then cancel by forwarding.
    int32_t node_bits = int32_t((shared_.services.node.value() & 0x7ff) << kPidCounterBits);
    int32_t pid = 0;
    do {
      shared_.next_counter = shared_.next_counter >= kCounterMax ? 1 : shared_.next_counter + 1;
      pid = node_bits | shared_.next_counter;
    } while (shared_.slots.contains(pid));
    auto slot = std::make_shared<CancelSlot>(context, pid, secret);
    shared_.slots.emplace(pid, slot);
    return slot;
  }

  SharedSessions shared_;
};

}  // namespace

std::unique_ptr<SessionFactory> NewSessionManager(const SqlServices& services, const SessionLimits& limits) {
  return std::make_unique<SessionManager>(services, limits);
}

}  // namespace orrery::sql
