// HttpServer: the status port: GET requests answered by functions, one short-lived connection each. Enough of
// HTTP/1.1 (RFC 9112) for curl, Prometheus and a browser; bad requests get 400, and no client can hold a task
// longer than its time limit. Thread-safe after Start.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "orrery/base/status.h"
#include "orrery/runtime/runtime.h"

namespace orrery::server {

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};
using HttpHandler = std::function<HttpResponse(const runtime::Context&)>;

struct HttpLimits {
  size_t head_bytes_max = 16 << 10;
  size_t connections_max = 64;
  Duration request_timeout = 10s;
};

// What a request line asks for; separate from the sockets so that tests can feed it bytes.
struct HttpRequest {
  std::string method;
  std::string path;  // without the query
};
// InvalidArgument with the reason if the head is not an HTTP/1.x request.
StatusOr<HttpRequest> ParseHttpHead(std::string_view head);
std::string FormatHttpResponse(const HttpResponse& response, bool with_body);

class HttpServer {
 public:
  explicit HttpServer(HttpLimits limits) : limits_(limits) {}
  // Before Start.
  void Handle(std::string_view path, HttpHandler handler) { handlers_.insert_or_assign(std::string(path), std::move(handler)); }
  // Listens and serves on tasks of `group`, until its context ends.
  Status Start(runtime::TaskGroup& group, std::string_view address);
  std::string address() const { return listener_->address(); }
  void Stop();

 private:
  Status AcceptLoop(const runtime::Context& context);
  void Serve(const runtime::Context& context, runtime::ByteStream& stream);
  HttpResponse Answer(const runtime::Context& context, const HttpRequest& request);

  const HttpLimits limits_;
  std::map<std::string, HttpHandler, std::less<>> handlers_;
  std::unique_ptr<runtime::Listener> listener_;
};

}  // namespace orrery::server
