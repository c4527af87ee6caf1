//! Every code that a finding about a text alone can have.

macro_rules! codes {
    ($($name:ident = $code:literal;)+) => {
        $(pub(crate) const $name: &str = $code;)+
        /// All codes of this crate. Each has an invalid fixture in `tests/offline/plan/invalid`.
        pub const CODES: &[&str] = &[$($code),+];
    };
}

codes! {
    NOT_UTF8 = "plan::not_utf8";
    SYNTAX = "plan::syntax";
    TAB = "plan::tab";
    EMPTY = "plan::empty";
    SEVERAL_DOCUMENTS = "plan::several_documents";
    TAG = "plan::tag";
    COMPLEX_KEY = "plan::complex_key";
    DUPLICATE_FIELD = "plan::duplicate_field";
    ENDLESS_ALIAS = "plan::endless_alias";
    TOO_DEEP = "plan::too_deep";
    BAD_MERGE = "plan::bad_merge";
    UNKNOWN_FIELD = "plan::unknown_field";
    MISSING_FIELD = "plan::missing_field";
    WRONG_TYPE = "plan::wrong_type";
    BAD_VALUE = "plan::bad_value";
    UNKNOWN_PIPELINE = "plan::unknown_pipeline";
    UNKNOWN_DATABASE = "plan::unknown_database";
    SAME_DATABASE = "plan::same_database";
    SECRET_REFERENCE = "plan::secret_reference";
    LITERAL_PASSWORD = "plan::literal_password";
    NAME_TOO_LONG = "plan::name_too_long";
    DUPLICATE_NAME = "plan::duplicate_name";
    MALFORMED_PATTERN = "plan::malformed_pattern";
    CLAIMED_PATTERN = "plan::claimed_pattern";
    UNKNOWN_PHASE = "plan::unknown_phase";
    PHASE_WITHOUT_PLACE = "plan::phase_without_place";
    PHASE_HAS_PLACE = "plan::phase_has_place";
    PHASE_CYCLE = "plan::phase_cycle";
    UNKNOWN_STEP = "plan::unknown_step";
    UNKNOWN_KIND = "plan::unknown_kind";
    EACH_NOT_SUPPORTED = "plan::each_not_supported";
    EACH_MISSING = "plan::each_missing";
    REMOVED_AND_CHANGED = "plan::removed_and_changed";
    UNKNOWN_SERVICE = "plan::unknown_service";
    UNKNOWN_PART = "plan::unknown_part";
    BROKEN_WINDOW = "plan::broken_window";
    SLOT_NAME = "plan::slot_name";
    PUBLICATION_NAME = "plan::publication_name";
    UNKNOWN_SLOT = "plan::unknown_slot";
    UNUSED_SLOT = "plan::unused_slot";
    UNKNOWN_SET = "plan::unknown_replication_set";
    UNUSED_SET = "plan::unused_replication_set";
    NO_SLOT = "plan::group_without_slot";
    SLOT_AND_SETS = "plan::slot_and_sets";
    TWO_SLOTS = "plan::group_on_two_slots";
    LOST_OPERATION = "plan::lost_operation";
    REPEATED_OPERATION = "plan::repeated_operation";
    NOTHING_CAPTURED = "plan::nothing_captured";
    LSN_WITHOUT_SLOT = "plan::lsn_without_slot";
    LSN_WITHOUT_PUBLICATION = "plan::lsn_without_publication";
    NO_HAND_OFF = "plan::no_hand_off";
    MALFORMED_FOREIGN_KEY = "plan::malformed_foreign_key";
    MISSING_REPLICA = "plan::missing_replica";
    UNUSED_REPLICA = "plan::unused_replica";
    FROM_TARGET = "plan::from_target";
    UNVERIFIED = "plan::unverified";
    UNVERIFIED_CUTOVER = "plan::unverified_cutover";
    UNKNOWN_WAIVER = "plan::unknown_waiver";
    UNUSED_WAIVER = "plan::unused_waiver";
}
