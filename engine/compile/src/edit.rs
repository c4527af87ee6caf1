//! stub
pub fn edit() {}
