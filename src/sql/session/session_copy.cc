// COPY: the client's bytes become rows that are written thousands at a time; rows become lines.
#include <algorithm>
#include <utility>

#include "orrery/kv/client/loader.h"
#include "orrery/sql/types/text_io.h"
#include "sql/session/scope.h"

namespace orrery::sql {
namespace {

// Encoded rows that are written together; and the client's bytes that become rows between two looks at that.
constexpr uint64_t kBlockBytes = uint64_t{4} << 20;
constexpr uint64_t kRunBytes = uint64_t{256} << 10;

// Names of reg* types are asked for in the transaction.
bool NamesObjects(const std::vector<Type>& types) {
  return std::any_of(types.begin(), types.end(), [](const Type& type) { return IsOidType(type.oid); });
}

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
  copy_in_->pipelined = copy_in_->beside || (MakesRowsAlone(*compiled->plan) && !NamesObjects(copy.column_types));
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
    if (!NamesObjects(copy.column_types)) env.read_ahead = ReadAhead::kAllowed;
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
  Status status = ReadCopyRows();
  if (!status.ok()) in_query_ = false;
  return scope.Finish(std::move(status));
}

StatusOr<Progress> Session::CopyDone(const runtime::Context&, ResultSink& sink) {
  Scope scope(*this);
  if (!copy_in_) return Progress::kDone;
  copy_in_->parser->Finish();
  Status status = ReadCopyRows();
  if (status.ok()) status = FinishCopyRows();
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

Status Session::CopyError(const Status& status, const BoundCopy& copy, int column, const CopyField* value) const {
  std::string where = "COPY " + PlanOf(*copy_in_->compiled->plan).root->As<PhysicalInsert>().table->name() + ", line " +
                      std::to_string(copy_in_->parser->line_number());
  if (column >= 0) {
    where += ", column " + copy.column_names[size_t(column)] + ": ";
    where += value ? "\"" + std::string(value->text.substr(0, 100)) + "\"" : "null input";
  }
  ErrorFields fields = status.fields();
  fields.where = where;
  return status.WithFields(std::move(fields));
}

// All complete rows that have arrived are encoded; blocks of them are written.
Status Session::ReadCopyRows() {
  for (bool more = true; more;) {
    RETURN_IF_ERROR(RunCopyRows(more));
    if (copy_in_->rows.bytes() >= kBlockBytes) RETURN_IF_ERROR(WriteCopyRows());
  }
  return OkStatus();
}

// Runs the INSERT over the next rows; `more`: there may be others.
Status Session::RunCopyRows(bool& more) {
  const auto& copy = std::get<BoundCopy>(copy_in_->compiled->bound->node);
  MemoryAccount memory(shared_.limits.statement_memory_bytes);
  ExecEnv env = MakeEnv({}, transaction_.txn.get(), memory);
  more = false;
  const size_t bytes = copy_in_->parser->buffered_bytes();
  uint64_t heap_bytes = 0;
  env.external = [&](std::span<Datum> row) -> StatusOr<bool> {
    more = bytes - copy_in_->parser->buffered_bytes() >= kRunBytes || heap_bytes >= kBlockBytes;
    if (more) return false;
    ASSIGN_OR_RETURN(const bool found, ReadCopyRow(copy, row));
    for (const Datum& value : row) heap_bytes += value.heap_bytes();
    return found;
  };
  env.loaded_rows = &copy_in_->rows;
  Execution execution(copy_in_->compiled->plan, env);
  class NoRows final : public RowSink {
   public:
    Status Row(std::span<const Datum>) override { return OkStatus(); }
    Status CopyOut(std::string_view) override { return OkStatus(); }
  } nothing;
  RETURN_IF_ERROR(execution.Run(context_, 0, nothing));
  copy_in_->row_count += execution.row_count();
  return OkStatus();
}

StatusOr<bool> Session::ReadCopyRow(const BoundCopy& copy, std::span<Datum> row) {
  std::vector<CopyField>& fields = copy_in_->fields;
  auto found = copy_in_->parser->NextRow(fields);
  if (!found.ok()) return CopyError(found.status(), copy, -1, nullptr);
  if (!*found) return false;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].is_null) {
      row[i] = Datum();
      continue;
    }
    if (copy.column_types[i].oid == oid::kText) {  // the parser keeps its bytes as long as the run needs them
      row[i] = Datum::Borrowed(fields[i].text);
      continue;
    }
    auto value = ParseText(copy.column_types[i], fields[i].text, eval_.format);
    if (!value.ok()) return CopyError(value.status(), copy, int(i), &fields[i]);
    row[i] = std::move(*value);
  }
  return true;
}

// A small load is one block, which needs no tasks. Of one in the transaction only the loader's tasks use the
// transaction, until FinishCopyRows.
Status Session::WriteCopyRows() {
  const Table& table = CopyTable();
  auto rows = copy_in_->rows.Take();
  if (!rows.ok()) return InsertError(rows.status(), table, eval_.format);
  if (!copy_in_->pipelined) return InsertError(CopyBlockWriter()(context_, std::move(*rows)), table, eval_.format);
  if (!copy_in_->loader) {
    copy_in_->loader = std::make_unique<kv::Loader>(context_.Detached(), kv::Loader::kWriters, CopyBlockWriter());
  }
  return InsertError(copy_in_->loader->Write(context_, std::move(*rows)), table, eval_.format);
}

kv::Loader::WriteBlock Session::CopyBlockWriter() {
  if (copy_in_->beside) {
    return [&db = shared_.services.database](const runtime::Context& context, KvBlock rows) {
      return kv::LoadAlone(context, db, "copy", std::move(rows));
    };
  }
  return [&txn = *transaction_.txn, &table = CopyTable(), lock_timeout = settings_.hot().lock_timeout](
             const runtime::Context& context, KvBlock rows) {
    return InsertRows(context, txn, lock_timeout, table, std::move(rows));
  };
}

Status Session::FinishCopyRows() {
  Status status;
  if (copy_in_->loader) {
    if (!copy_in_->rows.empty()) status = WriteCopyRows();
    if (status.ok()) status = InsertError(copy_in_->loader->Finish(context_), CopyTable(), eval_.format);
  } else if (!copy_in_->rows.empty()) {
    auto rows = copy_in_->rows.Take();
    status = rows.ok() ? CopyBlockWriter()(context_, std::move(*rows)) : rows.status();
    status = InsertError(status, CopyTable(), eval_.format);
  }
  // The transaction must see rows beside it from now on, and commit above them.
  if (status.ok() && copy_in_->beside) transaction_.txn->BeginStatement();
  return status;
}

const Table& Session::CopyTable() const {
  return *PlanOf(*copy_in_->compiled->plan).root->As<PhysicalInsert>().table;
}

}  // namespace orrery::sql
