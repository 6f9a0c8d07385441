// Leaves without KV: virtual tables, functions in FROM, VALUES, and the client's rows of COPY FROM.
#include "orrery/sql/types/array.h"
#include "orrery/sql/types/compare.h"
#include "orrery/sql/types/numeric.h"
#include "sql/exec/operator.h"

namespace orrery::sql {
namespace {

class VirtualScanOperator final : public RowOperator {
 public:
  explicit VirtualScanOperator(const PhysicalVirtualScan& node) : node_(node) {}

  Status Open(ExecState& state) override {
    if (state.env.virtual_context == nullptr) return InternalError("virtual table without a catalog");
    ASSIGN_OR_RETURN(rows_, node_.table->virtual_table->Rows(*state.context, *state.env.virtual_context));
    next_ = 0;
    return OkStatus();
  }
  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(node_.ordinals.size());
    while (out.empty() && next_ < rows_.size()) {
      for (; next_ < rows_.size() && !out.full(); ++next_) {
        std::span<Datum> row = out.AddRow();
        for (size_t i = 0; i < node_.ordinals.size(); ++i) row[i] = rows_[next_][node_.ordinals[i]];
      }
      if (node_.filter) RETURN_IF_ERROR(FilterBatch(*node_.filter, state.expr, out));
    }
    return OkStatus();
  }

 private:
  const PhysicalVirtualScan& node_;
  std::vector<std::vector<Datum>> rows_;
  size_t next_ = 0;
};

// generate_series of integers, numerics and timestamps; unnest; or a scalar function as a one-row table.
class FunctionScanOperator final : public RowOperator {
 public:
  explicit FunctionScanOperator(const PhysicalFunctionScan& node) : node_(node) {}

  Status Open(ExecState& state) override {
    ordinal_ = 0;
    done_ = false;
    args_.assign(node_.args.size(), Datum());
    bool any_null = false;
    for (size_t i = 0; i < node_.args.size(); ++i) {
      RETURN_IF_ERROR(Evaluate(*node_.args[i], state.expr, {}, &args_[i]));
      args_[i] = args_[i].Owned();
      any_null = any_null || args_[i].is_null();
    }
    if (node_.function_name == "unnest") return PrepareElements(state, any_null);
    if (node_.function_name != "generate_series") return OkStatus();
    done_ = any_null;
    if (!done_ && !Integral()) return PrepareGeneral(state);
    if (done_) return OkStatus();
    current_ = args_[0].as_int();
    step_ = args_.size() > 2 ? args_[2].as_int() : 1;
    if (step_ == 0) return ZeroStep();
    done_ = step_ > 0 ? current_ > args_[1].as_int() : current_ < args_[1].as_int();
    return OkStatus();
  }

  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(node_.output.size());
    const bool unnest = node_.function_name == "unnest";
    if (node_.function_name != "generate_series" && !unnest) return OnlyRow(state, out);
    const bool counts = Integral() && !unnest;
    while (!done_ && !out.full()) {
      Emit(counts ? Datum::Int(current_) : general_[size_t(ordinal_)], out);
      if (!counts) {
        done_ = size_t(ordinal_) >= general_.size();
        continue;
      }
      int64_t stop = args_[1].as_int();
      int64_t following = 0;
      done_ = __builtin_add_overflow(current_, step_, &following) || (step_ > 0 ? following > stop : following < stop);
      current_ = following;
    }
    return OkStatus();
  }

 private:
  bool Integral() const {
    Oid type = node_.output[0].type.oid;
    return type == oid::kInt4 || type == oid::kInt8 || type == oid::kInt2;
  }
  static Status ZeroStep() { return {Code::kInvalidArgument, "22023", "step size cannot equal zero"}; }

  void Emit(Datum value, RowBatch& out) {
    std::span<Datum> row = out.AddRow();
    row[0] = std::move(value);
    ++ordinal_;
    if (node_.with_ordinality) row[1] = Datum::Int(ordinal_);
  }
  Status OnlyRow(ExecState& state, RowBatch& out) {
    if (done_) return OkStatus();
    done_ = true;
    if (node_.function == nullptr) return UnsupportedError("set-returning function " + node_.function_name);
    Datum value;
    bool null_argument = false;
    for (const Datum& arg : args_) null_argument = null_argument || arg.is_null();
    if (!node_.function->strict || !null_argument) {
      RETURN_IF_ERROR(node_.function->evaluate(state.env.eval, args_, &value));
    }
    Emit(value.Owned(), out);
    return OkStatus();
  }
  Status PrepareElements(ExecState& state, bool is_null) {
    general_.clear();
    if (!is_null) general_ = Array::Unpack(args_[0]).elements;
    for (const Datum& element : general_) RETURN_IF_ERROR(state.Charge(sizeof(Datum) + element.heap_bytes()));
    done_ = general_.empty();
    return OkStatus();
  }
  // Numerics and timestamps: all values at once, charged to the statement's memory.
  Status PrepareGeneral(ExecState& state);

  const PhysicalFunctionScan& node_;
  std::vector<Datum> args_;
  std::vector<Datum> general_;
  int64_t current_ = 0;
  int64_t step_ = 1;
  int64_t ordinal_ = 0;
  bool done_ = false;
};

// The value after `value`; for timestamps the session's time zone says how long a day is.
StatusOr<Datum> NextInSeries(ExecState& state, const Function* plus, const Datum& value, const Datum& step) {
  if (plus == nullptr) {
    ASSIGN_OR_RETURN(Numeric sum, Numeric::Add(Numeric::FromDatum(value), Numeric::FromDatum(step)));
    return sum.ToDatum();
  }
  const Datum args[] = {value, step};
  Datum sum;
  RETURN_IF_ERROR(plus->evaluate(state.env.eval, std::span<const Datum>(args), &sum));
  return sum;
}

Status FunctionScanOperator::PrepareGeneral(ExecState& state) {
  general_.clear();
  const Oid type = node_.output[0].type.oid;
  const bool numeric = type == oid::kNumeric;
  const Datum step = args_.size() > 2 ? args_[2] : Numeric::FromInt(1).ToDatum();
  const auto sign = numeric ? CompareDatums(type, step, Numeric().ToDatum())
                            : CompareDatums(oid::kInterval, step, Datum::OfInterval({}));
  if (sign == 0) return ZeroStep();
  Datum value = args_[0];
  while (sign > 0 ? CompareDatums(type, value, args_[1]) <= 0 : CompareDatums(type, value, args_[1]) >= 0) {
    RETURN_IF_ERROR(state.context->Check());
    RETURN_IF_ERROR(state.Charge(sizeof(Datum) + value.heap_bytes()));
    general_.push_back(value);
    ASSIGN_OR_RETURN(value, NextInSeries(state, node_.function, value, step));
  }
  done_ = general_.empty();
  return OkStatus();
}

class ValuesOperator final : public RowOperator {
 public:
  explicit ValuesOperator(const PhysicalValues& node) : node_(node) {}
  Status Open(ExecState&) override {
    next_ = 0;
    return OkStatus();
  }
  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(node_.output.size());
    for (; next_ < node_.rows.size() && !out.full(); ++next_) {
      std::span<Datum> row = out.AddRow();
      for (size_t i = 0; i < row.size(); ++i) {
        RETURN_IF_ERROR(Evaluate(*node_.rows[next_][i], state.expr, {}, &row[i]));
      }
    }
    return OkStatus();
  }

 private:
  const PhysicalValues& node_;
  size_t next_ = 0;
};

class ExternalOperator final : public RowOperator {
 public:
  explicit ExternalOperator(const PhysicalExternal& node) : node_(node) {}
  Status Open(ExecState&) override { return OkStatus(); }
  Status Next(ExecState& state, RowBatch& out) override {
    out.Reset(node_.output.size());
    while (!out.full()) {
      ASSIGN_OR_RETURN(bool more, state.env.external(out.AddRow()));
      if (more) continue;
      out.RemoveLast();
      break;
    }
    return OkStatus();
  }

 private:
  const PhysicalExternal& node_;
};

}  // namespace

OperatorPtr MakeVirtualScan(const PhysicalVirtualScan& node) { return std::make_unique<VirtualScanOperator>(node); }
OperatorPtr MakeFunctionScan(const PhysicalFunctionScan& node) { return std::make_unique<FunctionScanOperator>(node); }
OperatorPtr MakeValues(const PhysicalValues& node) { return std::make_unique<ValuesOperator>(node); }
OperatorPtr MakeExternal(const PhysicalExternal& node) { return std::make_unique<ExternalOperator>(node); }

}  // namespace orrery::sql
