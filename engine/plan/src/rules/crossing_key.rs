//! Foreign keys that may cross slots are named in full.

use pgkedge_model::Finding;

use super::Text;
use crate::crossing::CrossingKey;
use crate::{codes, views};

pub(super) fn check(text: &Text<'_>) -> Vec<Finding> {
    let keys = views::texts(text.json, "/crossing_foreign_keys");
    let invalid = keys.iter().filter_map(|key| Some((key, CrossingKey::parse(key.text).err()?)));
    invalid
        .map(|(key, error)| {
            let message = format!("`{}` names no foreign key: {error}", key.text);
            Finding::error(codes::MALFORMED_FOREIGN_KEY, message)
                .at_value(key.pointer.clone(), "not a foreign key")
                .help(
                    "write `schema.table.constraint`, for example `public.orders.orders_customer_fkey`; \
                     a name that holds a dot stands in double quotes",
                )
        })
        .collect()
}
