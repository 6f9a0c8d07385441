// The protocol machine against a scripted session: which messages come back, in which order.
#include "orrery/sql/pgwire/connection.h"

#include <gtest/gtest.h>

#include "orrery/runtime/runtime.h"
#include "sql/pgwire/codec.h"

namespace orrery::sql::pgwire {
namespace {

// Answers every query with one row "1"; "error", "copy" and "big" do what they say.
class ScriptedSession final : public ClientSession {
 public:
  explicit ScriptedSession(std::vector<std::string>& calls) : calls_(calls) {
    columns_.push_back({.name = "c", .type = {oid::kInt4, -1}});
  }
  StatusOr<Progress> Query(const runtime::Context&, std::string_view text, ResultSink& sink) override {
    calls_.push_back("query " + std::string(text.substr(0, 20)));
    if (text == "error") return Status(Code::kInvalidArgument, "42601", "syntax error").WithPosition(3);
    if (text == "copy") {
      sink.StartCopyIn(1);
      return Progress::kCopyIn;
    }
    sink.Describe(columns_, formats_);
    sink.StartRows(columns_, formats_, format_);
    uint64_t mark = sink.Mark();
    for (int i = 0; i < (text == "big" ? 100'000 : 1); ++i) {
      Datum one = Datum::Int(1);
      RETURN_IF_ERROR(sink.Row(std::span<const Datum>(&one, 1)));
    }
    rewindable = sink.Rewind(mark);
    sink.CommandComplete("SELECT 1");
    return Progress::kDone;
  }
  Status Parse(const runtime::Context&, std::string_view, std::string_view text, std::span<const Oid>,
               ResultSink&) override {
    calls_.push_back("parse");
    return text == "error" ? Status(Code::kInvalidArgument, "42601", "bad") : OkStatus();
  }
  Status Bind(const runtime::Context&, std::string_view, std::string_view, const BindParameters&, FormatCodes,
              ResultSink&) override {
    calls_.push_back("bind");
    return OkStatus();
  }
  StatusOr<StatementDescription> DescribeStatement(const runtime::Context&, std::string_view) override {
    return StatementDescription{.parameters = {oid::kInt4}, .columns = columns_, .returns_rows = true};
  }
  StatusOr<StatementDescription> DescribePortal(const runtime::Context&, std::string_view, FormatCodes&) override {
    return StatementDescription{};
  }
  StatusOr<Progress> Execute(const runtime::Context&, std::string_view, uint64_t row_limit, AfterExecute after,
                             ResultSink& sink) override {
    calls_.push_back(after == AfterExecute::kSync ? "execute, then sync" : "execute");
    if (row_limit > 0) return Progress::kSuspended;
    sink.CommandComplete("SELECT 0");
    return Progress::kDone;
  }
  Status CloseStatement(std::string_view) override { return OkStatus(); }
  Status ClosePortal(std::string_view) override { return OkStatus(); }
  Status Sync(const runtime::Context&) override { return OkStatus(); }
  Status CopyData(const runtime::Context&, std::string_view bytes) override {
    calls_.push_back("data " + std::string(bytes));
    return bytes.starts_with("bad") ? Status(Code::kInvalidArgument, "22P04", "extra data") : OkStatus();
  }
  StatusOr<Progress> CopyDone(const runtime::Context&, ResultSink& sink) override {
    sink.CommandComplete("COPY 1");
    return Progress::kDone;
  }
  Status CopyFail(const runtime::Context&, std::string_view reason) override {
    return {Code::kAborted, "57014", "COPY from stdin failed: " + std::string(reason)};
  }
  void FailTransaction(const runtime::Context&) override { calls_.push_back("fail"); }
  TransactionStatus transaction_status() const override { return TransactionStatus::kIdle; }
  std::vector<std::pair<std::string, std::string>> TakeReportedParameters() override { return {}; }
  Duration IdleTimeout() const override { return Duration::zero(); }
  Status IdleTimeoutError() const override { return {Code::kDeadlineExceeded, "25P03", "idle"}; }
  int32_t backend_pid() const override { return 7; }
  int32_t cancel_secret() const override { return 8; }
  bool rewindable = true;

 private:
  std::vector<std::string>& calls_;
  std::vector<ResultColumn> columns_;
  FormatCodes formats_;
  FormatContext format_;
};

class Factory final : public SessionFactory {
 public:
  StatusOr<std::unique_ptr<ClientSession>> Open(const runtime::Context&, const SessionStart& start) override {
    if (start.database == "nope") return Status(Code::kNotFound, "3D000", "database \"nope\" does not exist");
    auto session = std::make_unique<ScriptedSession>(calls);
    last = session.get();
    return std::unique_ptr<ClientSession>(std::move(session));
  }
  void Cancel(const runtime::Context&, int32_t pid, int32_t secret) override {
    calls.push_back("cancel " + std::to_string(pid) + " " + std::to_string(secret));
  }
  std::vector<std::string> calls;
  ScriptedSession* last = nullptr;
};

class NoRuntime final : public runtime::Runtime {
 public:
  runtime::Clock& clock() override { std::abort(); }
  runtime::Random& random() override { std::abort(); }
  runtime::Scheduler& scheduler() override { std::abort(); }
  runtime::FileSystem& file_system() override { std::abort(); }
  runtime::Transport& transport() override { std::abort(); }
  runtime::Network& network() override { std::abort(); }
  runtime::ProbeRegistry& probes() override { std::abort(); }
};

class CountingFlusher final : public Flusher {
 public:
  Status Flush(const runtime::Context&, std::string_view bytes) override {
    flushed += bytes.size();
    return OkStatus();
  }
  size_t flushed = 0;
};

std::string Startup(std::string_view database = "postgres") {
  std::string body;
  AppendInt32(body, 0);
  AppendInt32(body, int32_t(kProtocolVersion3));
  for (std::string_view s : {"user", "postgres", "database"}) AppendString(body, s);
  AppendString(body, database);
  body += '\0';
  std::string length;
  AppendInt32(length, int32_t(body.size()));
  body.replace(0, 4, length);
  return body;
}
std::string Message(char type, std::string_view body = "") {
  std::string out;
  size_t m = BeginMessage(out, type);
  out += body;
  EndMessage(out, m);
  return out;
}
std::string Query(std::string_view text) { return Message('Q', std::string(text) + '\0'); }

class ConnectionTest : public testing::Test {
 protected:
  // Types of the messages that come back; SQLSTATE and severity behind an E.
  std::string Send(std::string_view bytes) {
    EXPECT_TRUE(connection.Consume(context, bytes, flusher).ok());
    std::string out(connection.output());
    connection.ClearOutput();
    std::string types;
    while (!out.empty()) {
      if (out[0] == 'N' && out.size() == 1) return types + "N";
      FieldReader header(std::string_view(out).substr(1));
      size_t length = size_t(header.Int32());
      types += out[0];
      if (out[0] == 'E') {
        std::string_view body = std::string_view(out).substr(5, length - 4);
        types += "[" + std::string(body.substr(1, body.find('\0') - 1)) + " " +
                 std::string(body.substr(body.find("C") == std::string_view::npos ? 0 : body.find(std::string("\0C", 2)) + 2, 5)) + "]";
      }
      out.erase(0, length + 1);
    }
    return types;
  }
  NoRuntime runtime;
  runtime::Context context{runtime};
  Factory factory;
  CountingFlusher flusher;
  Connection connection{factory, ConnectionLimits(), "test"};
};

TEST_F(ConnectionTest, StartsAfterRefusingEncryption) {
  std::string ssl;
  AppendInt32(ssl, 8);
  AppendInt32(ssl, int32_t(kSslRequestCode));
  EXPECT_EQ(Send(ssl), "N");
  EXPECT_EQ(Send(Startup()), "RKZ");
}

TEST_F(ConnectionTest, UnknownDatabaseIsFatal) {
  EXPECT_EQ(Send(Startup("nope")), "E[FATAL 3D000]");
  EXPECT_TRUE(connection.finished());
}

TEST_F(ConnectionTest, CancelRequestHasNoAnswer) {
  std::string cancel;
  for (uint32_t word : {16u, kCancelRequestCode, 7u, 8u}) AppendInt32(cancel, int32_t(word));
  EXPECT_EQ(Send(cancel), "");
  EXPECT_TRUE(connection.finished());
  EXPECT_EQ(factory.calls, std::vector<std::string>{"cancel 7 8"});
}

TEST_F(ConnectionTest, SimpleQueryAndError) {
  Send(Startup());
  EXPECT_EQ(Send(Query("SELECT 1")), "TCZ");  // the session took its row back
  EXPECT_EQ(Send(Query("error")), "E[ERROR 42601]Z");
}

TEST_F(ConnectionTest, RowsThatWereSentCannotBeTakenBack) {
  Send(Startup());
  Send(Query("small"));
  EXPECT_TRUE(factory.last->rewindable);
  Send(Query("big"));
  EXPECT_GT(flusher.flushed, 0u);
  EXPECT_FALSE(factory.last->rewindable);  // B40
}

TEST_F(ConnectionTest, PipelineStopsAtTheErrorAndGoesOnAfterSync) {
  Send(Startup());
  std::string parse = Message('P', std::string("\0ok\0\0\0", 6));
  std::string bad = Message('P', std::string("\0error\0\0\0", 9));
  std::string bind = Message('B', std::string("\0\0\0\0\0\0\0\0", 8));
  std::string execute = Message('E', std::string("\0\0\0\0\0", 5));
  std::string sync = Message('S');
  EXPECT_EQ(Send(parse + bind + execute + sync), "12CZ");
  EXPECT_EQ(factory.calls.back(), "execute, then sync");
  EXPECT_EQ(Send(parse + bind + execute + bind + execute + sync), "12C2CZ");
  factory.calls.clear();
  EXPECT_EQ(Send(bad + bind + execute + sync + parse + sync), "E[ERROR 42601]Z1Z");
  EXPECT_EQ(factory.calls, (std::vector<std::string>{"parse", "parse"}));
  std::string limited = Message('E', std::string("\0\0\0\0\2", 5));
  EXPECT_EQ(Send(parse + bind + limited + sync), "12sZ");
  EXPECT_EQ(Send(Message('D', std::string("S\0", 2)) + Message('D', std::string("P\0", 2)) + sync), "tTnZ");
}

TEST_F(ConnectionTest, CopyInWithinQuery) {
  Send(Startup());
  EXPECT_EQ(Send(Query("copy")), "G");
  EXPECT_EQ(Send(Message('d', "1\n") + Message('c')), "CZ");
  EXPECT_EQ(Send(Query("copy")), "G");
  EXPECT_EQ(Send(Message('d', "bad") + Message('d', "more") + Message('c')), "E[ERROR 22P04]Z");
  EXPECT_EQ(Send(Query("copy")), "G");
  EXPECT_EQ(Send(Message('f', std::string("why\0", 4))), "E[ERROR 57014]Z");
}

TEST_F(ConnectionTest, MalformedMessagesAreErrorsAndUnknownOnesFatal) {
  Send(Startup());
  EXPECT_EQ(Send(Message('B', "x") + Message('S')), "E[ERROR 08P01]Z");
  EXPECT_EQ(Send(Message('~', "x")), "E[FATAL 08P01]");
  EXPECT_TRUE(connection.finished());
}

}  // namespace
}  // namespace orrery::sql::pgwire
