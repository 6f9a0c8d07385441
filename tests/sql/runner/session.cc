#include "session.h"

#include <stdexcept>

namespace sqllogic {
namespace {

struct Clear {
  void operator()(PGresult* r) const { PQclear(r); }
};
using Result = std::unique_ptr<PGresult, Clear>;

// pg_type's names of the types that tests use (pg_type.dat).
std::string TypeName(Oid oid) {
  static const std::map<Oid, std::string> kNames = {
      {16, "bool"}, {17, "bytea"}, {18, "char"}, {19, "name"}, {20, "int8"}, {21, "int2"}, {23, "int4"}, {25, "text"},
      {26, "oid"}, {700, "float4"}, {701, "float8"}, {1042, "bpchar"}, {1043, "varchar"}, {1082, "date"}, {1083, "time"},
      {1114, "timestamp"}, {1184, "timestamptz"}, {1186, "interval"}, {1700, "numeric"}, {2205, "regclass"},
      {2206, "regtype"}, {2278, "void"}, {2950, "uuid"}};
  const auto it = kNames.find(oid);
  return it == kNames.end() ? "oid" + std::to_string(oid) : it->second;
}

std::string FormatValue(const PGresult* result, int row, int column) {
  if (PQgetisnull(result, row, column)) return "NULL";
  const std::string value(PQgetvalue(result, row, column), PQgetlength(result, row, column));
  if (value.empty()) return "(empty)";
  std::string out;
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '|') out += '\\';
      out += c;
    }
  }
  return out;
}

void AddResult(const PGresult* result, Answer& answer) {
  if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
    const auto field = [&](int code) {
      const char* text = PQresultErrorField(result, code);
      return std::string(text ? text : "");
    };
    answer.error = true;
    answer.sqlstate = field(PG_DIAG_SQLSTATE);
    answer.message = field(PG_DIAG_MESSAGE_PRIMARY);
    if (answer.sqlstate.empty()) answer.message = PQresultErrorMessage(result);
    return;
  }
  answer.tag = PQcmdStatus(const_cast<PGresult*>(result));
  answer.types.clear();
  answer.rows.clear();
  for (int c = 0; c < PQnfields(result); ++c) answer.types += (c ? "," : "") + TypeName(PQftype(result, c));
  for (int r = 0; r < PQntuples(result); ++r) {
    std::string row;
    for (int c = 0; c < PQnfields(result); ++c) row += (c ? "|" : "") + FormatValue(result, r, c);
    answer.rows.push_back(row);
  }
}

}  // namespace

PGconn* Sessions::Get(const std::string& name) {
  auto& connection = connections_[name];
  if (!connection) {
    const std::string& url = urls_[next_++ % urls_.size()];
    connection.reset(PQconnectdb(url.c_str()));
    if (PQstatus(connection.get()) != CONNECTION_OK) {
      throw std::runtime_error("connecting to " + url + ": " + PQerrorMessage(connection.get()));
    }
    PQsetNoticeProcessor(connection.get(), [](void*, const char*) {}, nullptr);
    PQclear(PQexec(connection.get(), "SET TIME ZONE 'UTC'"));
  }
  return connection.get();
}

void Sessions::Send(const std::string& name, const std::string& sql, bool extended) {
  PGconn* connection = Get(name);
  const int sent = extended ? PQsendQueryParams(connection, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0)
                            : PQsendQuery(connection, sql.c_str());
  if (!sent) throw std::runtime_error(std::string("sending: ") + PQerrorMessage(connection));
}

Answer Sessions::Await(const std::string& name) {
  PGconn* connection = Get(name);
  Answer answer;
  while (Result result{PQgetResult(connection)}) {
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) {
      throw std::runtime_error("COPY is not for SQL logic files");
    }
    if (!answer.error) AddResult(result.get(), answer);
  }
  return answer;
}

void Sessions::DropTables() {
  PGconn* connection = Get("");
  Result tables(PQexec(connection, "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'public'"));
  if (PQresultStatus(tables.get()) != PGRES_TUPLES_OK) {
    throw std::runtime_error(std::string("listing tables: ") + PQerrorMessage(connection));
  }
  for (int r = 0; r < PQntuples(tables.get()); ++r) {
    const std::string drop = std::string("DROP TABLE \"") + PQgetvalue(tables.get(), r, 0) + "\" CASCADE";
    Result dropped(PQexec(connection, drop.c_str()));
    if (PQresultStatus(dropped.get()) != PGRES_COMMAND_OK) {
      throw std::runtime_error(drop + ": " + PQerrorMessage(connection));
    }
  }
}

}  // namespace sqllogic
