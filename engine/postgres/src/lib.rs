//! Opens sockets to PostgreSQL: connections, TLS, COPY relay, the ledger, the meaning of SQLSTATEs.

pub mod lexer;
