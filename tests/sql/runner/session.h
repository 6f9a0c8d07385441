// The connections of one test file, by name.
#pragma once

#include <libpq-fe.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "script.h"

namespace sqllogic {

class Sessions {
 public:
  // The default connection goes to urls[first]; each further name to the next one.
  Sessions(std::vector<std::string> urls, size_t first) : urls_(std::move(urls)), next_(first) {}

  // Throws std::runtime_error if a connection cannot be made.
  PGconn* Get(const std::string& name);
  // Sends the statement by the chosen protocol; throws if the connection is gone.
  void Send(const std::string& name, const std::string& sql, bool extended);
  // Waits for the whole answer: the last result, or the first error.
  Answer Await(const std::string& name);
  // Drops every table of schema public.
  void DropTables();

 private:
  struct Close {
    void operator()(PGconn* c) const { PQfinish(c); }
  };
  std::vector<std::string> urls_;
  size_t next_;
  std::map<std::string, std::unique_ptr<PGconn, Close>> connections_;
};

}  // namespace sqllogic
