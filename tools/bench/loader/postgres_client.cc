// Speaks just as much of PostgreSQL's protocol (https://www.postgresql.org/docs/15/protocol-message-formats.html) as an upsert that was
// prepared once needs, as a driver with a cache of statements does it: Bind, Execute and Sync in one packet.
#include <stdexcept>
#include <utility>

#include "put_client.h"

namespace orrery::bench {
namespace {

constexpr uint32_t kProtocol3 = 3 << 16;
constexpr uint32_t kInt8 = 20, kText = 25;  // OIDs
constexpr size_t kHeaderBytes = 5;

// A message of the client: type, length with itself, body.
void AppendMessage(std::string& out, char type, std::string_view body) {
  out.push_back(type);
  AppendBigEndian(out, uint32_t(body.size() + 4), 4);
  out += body;
}

void AppendText(std::string& out, std::string_view text) {
  out += text;
  out.push_back('\0');
}

std::string ParseBody() {
  std::string body;
  AppendText(body, "put");
  AppendText(body, "INSERT INTO puts VALUES ($1, $2) ON CONFLICT (k) DO UPDATE SET v = excluded.v");
  AppendBigEndian(body, 2, 2);
  AppendBigEndian(body, kInt8, 4);
  AppendBigEndian(body, kText, 4);
  return body;
}

class PostgresClient final : public PutClient {
 public:
  explicit PostgresClient(int port) : PutClient(port) {
    std::string parameters;
    for (const char* text : {"user", "postgres", "database", "postgres", ""}) AppendText(parameters, text);
    std::string hello;
    AppendBigEndian(hello, uint32_t(parameters.size() + 8), 4);
    AppendBigEndian(hello, kProtocol3, 4);
    Write(hello + parameters);
    Expect("to be let in");
    std::string prepare;
    AppendMessage(prepare, 'P', ParseBody());
    AppendMessage(prepare, 'S', "");
    Write(prepare);
    Expect("that its statement is prepared");
  }

 private:
  void Expect(const char* what) {
    if (ReadToEnd() == Progress::kRefused) throw std::runtime_error("a client waits in vain " + std::string(what));
  }

  void AppendPut(std::string& out, uint32_t key, std::string_view value) override {
    const std::string number = std::to_string(key);
    std::string body;
    AppendText(body, "");  // the unnamed portal
    AppendText(body, "put");
    AppendBigEndian(body, 0, 2);      // all parameters are text
    AppendBigEndian(body, 2, 2);
    for (const std::string_view parameter : {std::string_view(number), value}) {
      AppendBigEndian(body, uint32_t(parameter.size()), 4);
      body += parameter;
    }
    AppendBigEndian(body, 0, 2);
    AppendMessage(out, 'B', body);
    AppendMessage(out, 'E', std::string(5, '\0'));  // the portal, all rows
    AppendMessage(out, 'S', "");
  }

  Progress Take(std::string& input) override {
    size_t at = 0;
    bool ended = false;
    while (input.size() - at >= kHeaderBytes) {
      const size_t length = 1 + BigEndian(&input[at + 1], 4);
      if (input.size() - at < length) break;
      refused_ = refused_ || input[at] == 'E';
      ended = ended || input[at] == 'Z';
      if (input[at] == 'R' && BigEndian(&input[at + kHeaderBytes], 4) != 0) throw std::runtime_error("a password is wanted");
      at += length;
    }
    input.erase(0, at);
    if (!ended) return Progress::kWaiting;
    return std::exchange(refused_, false) ? Progress::kRefused : Progress::kAnswered;
  }

  bool refused_ = false;
};

}  // namespace

std::unique_ptr<PutClient> NewPostgresClient(int port) { return std::make_unique<PostgresClient>(port); }

}  // namespace orrery::bench
