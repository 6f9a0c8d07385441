// COPY: the client's bytes become rows that are written thousands at a time; rows become lines.
#include <algorithm>

#include "orrery/kv/client/run_alone.h"
#include "orrery/sql/types/text_io.h"
#include "sql/session/scope.h"

namespace orrery::sql {
namespace {

// Rows that wait to be written together. Memory of a COPY is bounded by this and one line.
constexpr size_t kCopyRowsMax = 4096;
constexpr uint64_t kCopyBytesMax = uint64_t{4} << 20;

class CopyOutSink final : public RowSink {
 public:
  CopyOutSink(ResultSink& sink, const CopyFormatter& formatter, const FormatContext& format)
      : sink_(sink), formatter_(formatter), format_(format) {}
  Status Row(std::span<const Datum> values) override {
    line_.clear();
    formatter_.AppendRow(values, format_, line_);
    return sink_.CopyOut(line_);
  }
  Status CopyOut(std::string_view bytes) override { return sink_.CopyOut(bytes); }

 private:
  ResultSink& sink_;
  const CopyFormatter& formatter_;
  const FormatContext& format_;
  std::string line_;
};

}  // namespace

StatusOr<Progress> Session::StartCopy(const CompiledStatementPtr& compiled, Commit commit, ResultSink& sink) {
  const auto& copy = std::get<BoundCopy>(compiled->bound->node);
  if (copy.options.format == CopyFormat::kBinary) return UnsupportedError("COPY format \"binary\"");
  if (!copy.from) {
    RETURN_IF_ERROR(RunCopyOut(*compiled, copy, commit, sink));
    return Progress::kDone;
  }
  RETURN_IF_ERROR(CheckWritable(PlanOf(*compiled->plan)));
  kv::Txn& txn = OpenTxn();
  if (transaction_.isolation == kv::IsolationLevel::kReadCommitted) txn.BeginStatement();
  ++transaction_.statements_run;
  copy_in_.emplace();
  copy_in_->compiled = compiled;
  copy_in_->parser = std::make_unique<CopyParser>(copy.options, copy.column_names);
  copy_in_->beside = MayCopyBeside(*PlanOf(*compiled->plan).root->As<PhysicalInsert>().table);
  if (!copy_in_->beside) NoteWrites(PlanOf(*compiled->plan));
  sink.StartCopyIn(copy.column_names.size());
  return Progress::kCopyIn;
}

Status Session::RunCopyOut(const CompiledStatement& compiled, const BoundCopy& copy, Commit commit,
                           ResultSink& sink) {
  CopyFormatter formatter(copy.options, copy.column_names, copy.column_types);
  sink.StartCopyOut(copy.column_names.size());
  std::string header;
  formatter.AppendHeader(header);
  if (!header.empty()) RETURN_IF_ERROR(sink.CopyOut(header));
  bool alone = commit == Commit::kWithStatement && transaction_.state() == SessionTransaction::State::kNone;
  uint64_t rows = 0;
  RETURN_IF_ERROR(WithRetries(alone ? Commit::kWithStatement : Commit::kLater, &sink, [&](kv::Txn& txn) -> Status {
    MemoryAccount memory(shared_.limits.statement_memory_bytes);
    ExecEnv env = MakeEnv({}, &txn, memory);
    Execution execution(compiled.plan, env);
    CopyOutSink lines(sink, formatter, eval_.format);
    RETURN_IF_ERROR(execution.Run(context_, 0, lines));
    rows = execution.row_count();
    return OkStatus();
  }));
  if (alone) RETURN_IF_ERROR(CommitTransaction());
  sink.FinishCopyOut();
  sink.CommandComplete("COPY " + std::to_string(rows));
  return OkStatus();
}

Status Session::CopyData(const runtime::Context&, std::string_view bytes) {
  Scope scope(*this);
  if (!copy_in_) return OkStatus();
  copy_in_->parser->Append(bytes);
  Status status = ParseCopyRows();
  if (!status.ok()) in_query_ = false;
  return scope.Finish(std::move(status));
}

StatusOr<Progress> Session::CopyDone(const runtime::Context&, ResultSink& sink) {
  Scope scope(*this);
  if (!copy_in_) return Progress::kDone;
  copy_in_->parser->Finish();
  Status status = ParseCopyRows();
  if (status.ok()) status = FlushCopyRows();
  if (status.ok() && copy_in_->beside && copy_in_->row_count > 0) {
    const Table& table = *PlanOf(*copy_in_->compiled->plan).root->As<PhysicalInsert>().table;
    status = transaction_.catalog->NoteRowsBeside(context_, table);
  }
  if (!status.ok()) {
    in_query_ = false;
    return scope.Finish(std::move(status));
  }
  std::string tag = "COPY " + std::to_string(copy_in_->row_count);
  copy_in_.reset();
  if (in_query_ && queue_.size() == 1 && transaction_.state() == SessionTransaction::State::kImplicit) {
    // The tag means that the rows are there: commit before it is said.
    status = CommitTransaction();
    if (!status.ok()) return scope.Finish(std::move(status));
  }
  sink.CommandComplete(tag);
  if (!in_query_) return Progress::kDone;
  return RunQueue(sink);
}

Status Session::CopyFail(const runtime::Context&, std::string_view reason) {
  Scope scope(*this);
  in_query_ = false;
  return scope.Finish(
      Status(Code::kAborted, "57014", "COPY from stdin failed: " + std::string(reason)));
}

// Rows of a storage that this very transaction made are nobody else's business until it commits, and vanish as
// a whole if it does not: they are written in transactions of their own, in one phase and without intents.
// Not under a later savepoint, to which a rollback would have to undo part of them; not above a fixed snapshot,
// which could not see them; and not beside rows with intents of the transaction's own.
bool Session::MayCopyBeside(const Table& table) const {
  if (transaction_.isolation != kv::IsolationLevel::kReadCommitted || !transaction_.catalog) return false;
  const auto& savepoints = transaction_.savepoints;
  const size_t changes_before = savepoints.empty() ? 0 : savepoints.back().catalog_changes;
  if (!transaction_.catalog->IsNewStorage(table, changes_before)) return false;
  const auto& written = transaction_.written_storages;
  return std::find(written.begin(), written.end(), table.descriptor.storage) == written.end();
}

Status Session::CopyError(const Status& status, const BoundCopy& copy, int column, const std::string* value) const {
  std::string where = "COPY " + PlanOf(*copy_in_->compiled->plan).root->As<PhysicalInsert>().table->name() + ", line " +
                      std::to_string(copy_in_->parser->line_number());
  if (column >= 0) {
    where += ", column " + copy.column_names[size_t(column)] + ": ";
    where += value ? "\"" + value->substr(0, 100) + "\"" : "null input";
  }
  ErrorFields fields = status.fields();
  fields.where = where;
  return status.WithFields(std::move(fields));
}

Status Session::ParseCopyRows() {
  const auto& copy = std::get<BoundCopy>(copy_in_->compiled->bound->node);
  std::vector<std::optional<std::string>> fields;
  while (true) {
    auto more = copy_in_->parser->NextRow(fields);
    if (!more.ok()) return CopyError(more.status(), copy, -1, nullptr);
    if (!*more) return OkStatus();
    std::vector<Datum> row(fields.size());
    for (size_t i = 0; i < fields.size(); ++i) {
      if (!fields[i]) continue;
      auto value = ParseText(copy.column_types[i], *fields[i], eval_.format);
      if (!value.ok()) return CopyError(value.status(), copy, int(i), &*fields[i]);
      row[i] = std::move(*value);
      copy_in_->row_bytes += row[i].heap_bytes();
    }
    copy_in_->row_bytes += row.size() * sizeof(Datum);
    copy_in_->rows.push_back(std::move(row));
    if (copy_in_->rows.size() >= kCopyRowsMax || copy_in_->row_bytes >= kCopyBytesMax) {
      RETURN_IF_ERROR(FlushCopyRows());
    }
  }
}

Status Session::FlushCopyRows() {
  MemoryAccount memory(shared_.limits.statement_memory_bytes);
  ExecEnv env = MakeEnv({}, transaction_.txn.get(), memory);
  std::deque<std::vector<Datum>>& rows = copy_in_->rows;
  env.external = [&rows](std::span<Datum> row) -> StatusOr<bool> {
    if (rows.empty()) return false;
    std::move(rows.front().begin(), rows.front().end(), row.begin());
    rows.pop_front();
    return true;
  };
  if (copy_in_->beside) {
    env.insert_rows = [this](const runtime::Context& context, kv::Batch& batch) {
      return kv::RunAlone(context, shared_.services.database, "copy", batch);
    };
  }
  Execution execution(copy_in_->compiled->plan, env);
  class NoRows final : public RowSink {
   public:
    Status Row(std::span<const Datum>) override { return OkStatus(); }
    Status CopyOut(std::string_view) override { return OkStatus(); }
  } nothing;
  Status status = execution.Run(context_, 0, nothing);
  copy_in_->row_count += execution.row_count();
  copy_in_->row_bytes = 0;
  // The transaction must see these rows from now on, and commit above them.
  if (copy_in_->beside) transaction_.txn->BeginStatement();
  return status;
}

}  // namespace orrery::sql
