#include "sql/catalog/row_rewrite.h"

#include <algorithm>
#include <optional>

#include "orrery/kv/api/errors.h"
#include "orrery/kv/client/loader.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {

namespace {

// A full row by the source's ordinals.
Status DecodeRow(const Table& table, std::string_view key, std::string_view value, const TupleReader& tuple,
                 const TupleReader& inexact_keys, std::vector<Datum>& row) {
  row.assign(table.columns().size(), Datum());
  if (!key.starts_with(table.key_prefix)) return DataLossError("row key outside its table");
  key.remove_prefix(table.key_prefix.size());
  for (const Table::KeyPart& part : table.key)
    RETURN_IF_ERROR(ReadKeyColumn(key, part.type, part.direction, row[part.ordinal]));
  RETURN_IF_ERROR(tuple.Read(value, row));
  return inexact_keys.Read(value, row);
}

TupleReader ValueReader(const Table& table) {
  std::vector<TupleReader::Column> columns;
  for (const uint32_t ordinal : table.value_ordinals) {
    const ColumnDescriptor& column = table.columns()[ordinal];
    Datum missing;
    if (column.missing) {
      // The stored default is a tuple of this one column.
      TupleReader one({{.id = column.id, .type = column.type, .slot = 0, .missing = Datum()}});
      Datum value;
      if (one.Read(*column.missing, std::span(&value, 1)).ok()) missing = value.Owned();
    }
    columns.push_back({.id = column.id, .type = column.type, .slot = ordinal, .missing = missing});
  }
  return TupleReader(std::move(columns));
}

TupleReader KeyReader(const Table& table) {
  std::vector<TupleReader::Column> columns;
  for (const Table::KeyPart& part : table.key)
    columns.push_back({.id = table.columns()[part.ordinal].id, .type = part.type, .slot = part.ordinal, .missing = {}});
  return TupleReader(std::move(columns), TupleReader::Absent::kKeep);
}

// Encodes full rows of one table; what does not depend on the row is worked out once.
class RowEncoder {
 public:
  explicit RowEncoder(const Table& table) : table_(table) {
    for (size_t i = 0; i < table.value_columns.size(); ++i)
      stored_.push_back({table.value_columns[i], table.value_ordinals[i], nullptr});
    for (const Table::KeyPart& part : table.key)
      stored_.push_back({{table.columns()[part.ordinal].id, part.type}, part.ordinal, &part});
    std::sort(stored_.begin(), stored_.end(), [](const Stored& a, const Stored& b) { return a.column.id < b.column.id; });
  }

  // The value holds the columns outside the key, and key columns whose key form is not exact.
  void Encode(std::span<const Datum> row, std::string& key, std::string& value) {
    key = table_.key_prefix;
    for (const Table::KeyPart& part : table_.key) AppendKeyColumn(key, part.type, row[part.ordinal], part.direction);
    columns_.clear();
    values_.clear();
    for (const Stored& stored : stored_) {
      if (stored.key_part != nullptr && KeyIsExact(stored.key_part->type, row[stored.ordinal])) continue;
      columns_.push_back(stored.column);
      values_.push_back(row[stored.ordinal]);
    }
    value.clear();
    AppendTuple(value, columns_, values_);
  }

 private:
  struct Stored {
    TupleColumn column;
    uint32_t ordinal;
    const Table::KeyPart* key_part;  // null: outside the key
  };
  const Table& table_;
  std::vector<Stored> stored_;
  std::vector<TupleColumn> columns_;
  std::vector<Datum> values_;
};

Status DuplicateKey(const Table& to, std::string_view key) {
  std::vector<Datum> row(to.columns().size());
  key.remove_prefix(std::min(key.size(), to.key_prefix.size()));
  std::string names, values;
  for (const Table::KeyPart& part : to.key) {
    Datum value;
    if (!ReadKeyColumn(key, part.type, part.direction, value).ok()) break;
    names += (names.empty() ? "" : ", ") + to.columns()[part.ordinal].name;
    values += (values.empty() ? "" : ", ") + FormatText(part.type, value, FormatContext());
  }
  ErrorFields fields;
  fields.detail = "Key (" + names + ")=(" + values + ") is duplicated.";
  fields.schema = to.schema_name;
  fields.table = to.name();
  fields.constraint = to.descriptor.primary_key_name;
  return Status(Code::kAlreadyExists, "23505",
                "could not create unique index \"" + to.descriptor.primary_key_name + "\"")
      .WithFields(fields);
}

// Writes encoded rows where the options say, a block at a time.
class RowsWriter {
 public:
  RowsWriter(const runtime::Context& context, kv::Database& db, kv::Txn& txn, const Table& to,
             RewriteOptions::Writes writes)
      : context_(context), db_(db), txn_(txn), to_(to), writes_(writes) {}

  void Append(std::string_view key, std::string_view value) { rows_.Append(key, value); }
  Status WriteBlock() {
    if (rows_.empty()) return OkStatus();
    auto rows = rows_.Take();
    if (!rows.ok()) return Convert(rows.status());
    if (writes_ == RewriteOptions::Writes::kBeside) {
      if (!loader_) {
        loader_.emplace(context_, kv::Loader::kWriters, [&db = db_](const runtime::Context& c, KvBlock block) {
          return kv::LoadAlone(c, db, "rewrite rows", std::move(block));
        });
      }
      return Convert(loader_->Write(context_, std::move(*rows)));
    }
    kv::Batch batch;
    batch.InsertMany(std::move(*rows));
    return Convert(txn_.Run(context_, batch));
  }
  Status Finish() {
    RETURN_IF_ERROR(WriteBlock());
    return loader_ ? Convert(loader_->Finish(context_)) : OkStatus();
  }

 private:
  Status Convert(const Status& status) const {
    if (const auto* failed = kv::GetError<kv::ConditionFailedError>(status)) return DuplicateKey(to_, failed->key);
    return status;
  }

  const runtime::Context& context_;
  kv::Database& db_;
  kv::Txn& txn_;
  const Table& to_;
  const RewriteOptions::Writes writes_;
  kv::LoadedRows rows_;
  std::optional<kv::Loader> loader_;
};

}  // namespace

Status RewriteRows(const runtime::Context& context, kv::Database& db, kv::Txn& txn, const Table& from,
                   const Table& to, const RewriteOptions& options) {
  const TupleReader values = ValueReader(from);
  const TupleReader keys = KeyReader(from);
  std::vector<int> source_of;  // by the ordinals of `to`
  for (const ColumnDescriptor& column : to.columns()) source_of.push_back(from.OrdinalOfId(column.id));
  std::optional<kv::Span> rest = kv::Span{from.key_prefix, ordered::PrefixEnd(from.key_prefix)};
  RowEncoder encoder(to);
  std::vector<Datum> old_row;
  std::vector<Datum> new_row(to.columns().size());
  RowsWriter writer(context, db, txn, to, options.writes);
  std::string key, value;
  while (rest) {
    kv::Batch read;
    read.Scan(*rest);
    read.max_keys = options.batch_rows;
    read.max_bytes = options.batch_bytes;
    RETURN_IF_ERROR(txn.Run(context, read));
    const auto& response = std::get<kv::ScanResponse>(read.responses[0]);
    for (auto cursor = response.rows.Begin(); cursor.Next();) {
      RETURN_IF_ERROR(DecodeRow(from, cursor.key(), cursor.value(), values, keys, old_row));
      for (size_t i = 0; i < new_row.size(); ++i)
        new_row[i] = source_of[i] < 0 ? Datum() : old_row[size_t(source_of[i])];
      for (const Table::KeyPart& part : to.key) {
        if (!new_row[part.ordinal].is_null()) continue;
        ErrorFields fields;
        fields.schema = to.schema_name;
        fields.table = to.name();
        fields.column = to.columns()[part.ordinal].name;
        return Status(Code::kFailedPrecondition, "23502",
                      "column \"" + fields.column + "\" of relation \"" + to.name() + "\" contains null values")
            .WithFields(fields);
      }
      encoder.Encode(new_row, key, value);
      writer.Append(key, value);
    }
    RETURN_IF_ERROR(writer.WriteBlock());
    rest = response.resume;
  }
  return writer.Finish();
}

}  // namespace orrery::sql
