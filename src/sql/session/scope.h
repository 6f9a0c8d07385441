// Session::Scope: one request of the client from its first to its last effect. Arms cancellation and
// statement_timeout, sets the clocks of now(), and does what an error means for the transaction.
#pragma once

#include "sql/session/session.h"

namespace orrery::sql {

class Session::Scope {
 public:
  explicit Scope(Session& session) : session_(session) {
    const Settings::Hot& hot = session.settings_.hot();
    session.context_ = session.slot_->Start();
    if (hot.statement_timeout > Duration::zero()) {
      session.context_ = session.context_.WithTimeout(hot.statement_timeout);
    }
    session.eval_.statement_time = session.WallNow();
    if (session.transaction_.state() == SessionTransaction::State::kNone) {
      session.eval_.format = hot.format;
      session.eval_.format.session = &session;
      session.eval_.format.transaction_time = session.eval_.statement_time;
    }
  }
  ~Scope() { (void)session_.slot_->Finish(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // The error as the client gets it, once the transaction has failed for it.
  Status Finish(Status status) {
    if (status.ok()) return status;
    Status translated = session_.TranslateError(std::move(status));
    session_.Fail();
    return translated;
  }
  StatusOr<Progress> Finish(StatusOr<Progress> progress) {
    if (progress.ok()) return progress;
    return Finish(progress.status());
  }

 private:
  Session& session_;
};

}  // namespace orrery::sql
