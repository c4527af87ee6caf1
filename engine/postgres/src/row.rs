//! A row as the simple protocol sends it: text by column.

use std::sync::Arc;

/// A row of text values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Option<String>>,
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Option<String>>) -> Self {
        Self { columns, values }
    }

    /// The value of a column, by its place from 0; none for NULL, and where there is no such column.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.values.get(index)?.as_deref()
    }

    /// The value of a column, by its name; none for NULL, and where there is no such column.
    pub fn named(&self, column: &str) -> Option<&str> {
        self.get(self.columns.iter().position(|name| name == column)?)
    }

    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}
