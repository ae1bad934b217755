/** Every maximum in the system, with the reason beside it. A bound that is not here does not exist. */

const KIB = 1024;
const MIB = 1024 * KIB;
export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;

// Encoding
export const CBOR_DEPTH_MAX = 32; // DESIGN section 4; our deepest record has 6 levels
export const NAME_BYTES_MAX = 64; // DESIGN section 4; fits every cloud's tag value
export const LOG_FIELD_CHARS_MAX = 512; // a line stays readable; causes are short by construction

// Network
export const RECORD_BYTES_MAX = 8 * KIB; // the largest record, a card with 32 offers, has about 6 KiB
export const ANSWER_BYTES_MAX = MIB; // one answer on a stream; sync splits what is larger
export const ERROR_TEXT_CHARS_MAX = 200; // a refusal's text on the wire
export const REQUEST_MS_MAX = 30 * SECOND_MS; // serving one request; the slowest is a share (3 ms of CPU)
export const STREAMS_PER_PROTOCOL_MAX = 64; // per connection and protocol; a provider asks in parallel per grant
export const CONNECTIONS_MAX = 512; // members times providers times requesters of a mid-sized coalition
export const INBOUND_CONNECTIONS_PER_SECOND_MAX = 100; // libp2p's default of 5 refuses hosts behind one address
export const IDLE_STREAM_MS = MINUTE_MS; // how long a stream waits for its next request; whoever asks gives up at half
export const IDLE_STREAMS_MAX = 8; // kept per peer and protocol; a provider with 10 grants/s has 3 under way
export const RATE_PEERS_MAX = 4096; // buckets kept; the least recently seen peer is forgotten
export const PEER_REQUESTS_PER_SECOND = 200; // 10 grants/s ask for shares, votes and puts, with room to spare
export const PEER_REQUESTS_BURST = 1000;
export const PEER_EXCESS_PER_SECOND = 10; // requests beyond that rate: a peer that is told to slow down does
export const PEER_EXCESS_BURST = 500; // what may be under way when it is told; then it is barred
export const GOSSIP_BYTES_PER_SECOND = 2 * MIB; // 2,000 records/s of 1 KiB from one peer
export const GOSSIP_BYTES_BURST = 16 * MIB; // a member relays everybody's records after a partition
export const STRIKES_PER_SECOND = 0.1; // records no honest peer sends: one bad build gets 10 s per strike
export const STRIKES_BURST = 20;
export const BAR_MS = MINUTE_MS; // long enough to end a flood, short enough to survive a false alarm
export const REDIAL_MS = 250; // first wait before a bootstrap peer is dialled again
export const REDIAL_MS_MAX = 15 * SECOND_MS;
export const PUT_MS = 5 * SECOND_MS; // one record to one member, including a new connection
export const SYNC_BYTES_PER_SECOND = 4 * MIB; // answers to one peer; catching up is the only reason to ask for more
export const SYNC_BYTES_BURST = 128 * MIB; // everything a full node holds of the market, once
export const SYNC_INTERVAL_MS = 10 * SECOND_MS; // how long a lost gossip message can go unnoticed
export const SYNC_SOON_MS = 200; // a record came before what it depends on
export const SYNC_REQUEST_MS = 15 * SECOND_MS;
export const SYNC_REQUEST_BYTES_MAX = 32 * KIB;
export const SYNC_IDS_MAX = 16_384; // 512 KiB of ids in one answer
export const SYNC_FETCH_IDS_MAX = 1024; // 32 KiB of ids in one request
export const SYNC_RECORDS_BYTES_MAX = 768 * KIB; // records in one answer, below ANSWER_BYTES_MAX
export const SWEEP_INTERVAL_MS = 15 * SECOND_MS; // lapsed records go; they are refused on arrival anyway

// Coalition
export const COMMITTEE_MEMBERS_MAX = 15; // every member signs with every other; larger committees need another protocol
export const COALITION_FILE_BYTES_MAX = 256 * KIB; // 15 members with 8 addresses each and 128 references
export const ENDORSEMENT_MS_MAX = 24 * HOUR_MS; // DESIGN section 5: a stolen boot key is useless after a day
export const REQUEST_BYTES_MAX = 1792; // one zipnet slot of 2,048 less header, token and MACs for 7 servers
export const ENVELOPE_BYTES = 1184; // every sealed envelope; beside it a request with two releases and no settlement fits a slot
export const ENDORSEMENTS_KNOWN_MAX = 4096; // checked once each: the instances of four times as many providers as a node keeps
export const CARD_OFFERS_MAX = 24; // 24 offers of about 250 bytes fill a record
export const ATTEMPTS_MAX = 3; // DESIGN section 6.2
export const LOG_ENTRIES_MAX = 8192; // a week of entries every 120 s is 5,040
export const CARD_TICKS_AHEAD_MAX = 5; // how far a card's tick may run ahead of ours
export const PROVIDERS_MAX = 1024; // cards a node keeps
export const PROVIDERS_PER_OPERATOR_MAX = 64;
export const PROVIDERS_PER_PEER_MAX = 64; // cards, or markers, that one peer may bring which is no member
export const REQUESTS_PER_PEER_MAX = 4096; // open and granted requests one peer may bring; a busy gateway's hour
export const REQUEST_RECORDS_MAX = 50_000; // open and recent requests a node keeps, about 90 MB
export const GRANT_RECORDS_MAX = 100_000; // grants, admissions or refusals that have not lapsed, on one node
export const ANSWERS_PER_PROVIDER_MAX = 50_000; // admissions, or refusals, that have not lapsed
export const LOG_RECORDS_MAX = 500_000;
export const LOGS_PER_PROVIDER_MAX = 250_000; // 512 grants of a day at one entry every 120 s

// Configuration
export const CONFIG_BYTES_MAX = 256 * KIB; // a full file has about 3 KiB; a larger one is the wrong file
export const CONFIG_DEPTH_MAX = 8; // our deepest file, the coalition's, has five; also bounds every recursion over a file
export const CONFIG_PROBLEMS_MAX = 64; // one report fills a screen or two; the rest is counted
export const CONFIG_QUOTE_CHARS_MAX = 60; // how much of a wrong value or key a report repeats
export const CONFIG_TEXT_CHARS_MAX = 4096; // PATH_MAX, the longest text any key can hold
export const CONFIG_LIST_MAX = 16; // addresses of one node; libp2p signs each into its peer record
export const SECRET_BYTES_MAX = 16 * KIB; // a key share has under 1 KiB, a cloud credential file about 3 KiB
export const BACKENDS_MAX = 16; // one account or set of hosts each
export const MACHINES_MAX = 1000; // per backend; a listing of them stays one page in every cloud
export const GRANTS_MAX = 1000; // one watcher each in one process
export const GRANT_LIFE_MAX_MS = 168 * HOUR_MS; // the longest duration class
export const SETTING_INTERVAL_MIN_MS = SECOND_MS; // a timer of ours that runs more often is a busy loop
export const SETTING_INTERVAL_MAX_MS = 24 * HOUR_MS; // below the 24.8 days a runtime timer can hold
export const CPU_MILLICORES_MAX = 1_024_000; // the bounds of a Shape in the Compute module
export const RAM_MIB_MAX = 16_777_216;
export const STORAGE_GIB_MAX = 65_536;
export const MEMBER_INDEX_MAX = 255; // a share's index is one byte; committees have 3 to 7
export const MONEY_MICROS_MAX = 1e15; // a billion of the currency; a sum of nine still is a safe integer

// Committee
export const RECENT_CARDS_MAX = 16; // cards change with every grant; a proposal may be some changes behind
export const NONCES_HELD_MAX = 4096; // unused FROST nonces in memory, 10 s worth at 10 grants/s with every retry
export const COMMITTEE_REQUEST_BYTES_MAX = 4 * KIB; // a grant and 15 commitments
export const COMMITTEE_REQUEST_MS = 2 * SECOND_MS; // after this a member counts as silent for this session
export const PROPOSALS_AT_ONCE_MAX = 64; // signing sessions one proposer drives side by side
export const GRANT_TIME_SLACK_MS = 30 * SECOND_MS; // members' clocks may differ by this much

// zipnet
export const DIRECT_MS = 10 * SECOND_MS; // one message to one member, including the first connection
export const SHARE_REQUEST_BYTES_MAX = 4 * KIB; // a grant and an admission record
export const SHARE_KEYS_KNOWN_MAX = 64; // members of the coalitions one process knows, each with a table of 0.4 MB
export const SHARE_MS = 5 * SECOND_MS; // one share from one member, including a new connection
export const GATHER_RETRY_MS = 50; // a member that lacks the request usually has it a moment later
export const GATHER_RETRY_MS_MAX = 5 * SECOND_MS;

// First login
export const LOGIN_ATTEMPT_MS = 15 * SECOND_MS; // one handshake, login and handover; a busy small cloud machine needs 3 s
export const LOGIN_RETRY_MS = 20; // first wait between attempts, doubled each time
export const LOGIN_RETRY_MS_MAX = 2 * SECOND_MS; // clouds boot in 20 s to 90 s; nobody notices 2 s of them
export const HANDOVER_OUTPUT_BYTES_MAX = 4 * KIB; // one public key, and room for what a shell prints around it
export const HANDOVER_ERROR_CHARS_MAX = 200; // of the machine's stderr, repeated in our error

// Local backend
export const LOCAL_RECORD_BYTES_MAX = 64 * KIB; // usage with a full list of processes has about 20 KiB
export const LOCAL_ENDED_KEPT_MAX = 256; // records of ended machines; their watchers have long read them
export const LOCAL_LOG_LINES_MAX = 10_000; // a tenant who logs in all day must not fill the disk
export const LOCAL_LOG_TAIL_CHARS = 300; // of a machine's log, repeated when it did not start
export const LOCAL_START_MS_MAX = 20 * SECOND_MS; // starting takes 0.2 s; a machine under heavy load, fifty times that
export const LOCAL_START_POLL_MS = 5;
export const LOCAL_LOGIN_MS_MAX = 30 * SECOND_MS; // two attempts; the machine already listens when the first is made
export const LOCAL_WATCH_POLL_MS = 250;
export const LOCAL_TICK_MS = SECOND_MS; // how finely memory is integrated over time
export const LOCAL_USAGE_WRITE_TICKS = 2; // a machine that dies at once loses at most this much of its account
export const LOCAL_GRACE_MS = 500; // between asking the tenant's processes to end and ending them
export const LOCAL_KILL_POLL_MS = 10;
export const LOCAL_KILL_MS_MAX = 5 * SECOND_MS; // killing is done in milliseconds, or the kernel holds a process
export const LOCAL_TERM_MS_MAX = 8 * SECOND_MS; // above the machine's own grace and kill times together
export const LOCAL_ENDING_MS_MAX = 30 * SECOND_MS; // an end takes up to 18 s; one that has not come is asked for again
export const LOCAL_CONNECTIONS_MAX = 32; // SSH connections to one machine, logged in or not
export const LOCAL_SESSIONS_MAX = 64; // shells and commands running at once on one machine
export const LOCAL_AUTH_FAILURES_MAX = 6; // per connection, as in OpenSSH
export const LOCAL_LOGIN_GRACE_MS = 10 * SECOND_MS; // a connection that has not logged in by then is closed
export const LOCAL_PROCESSES_MAX = 1024; // of one tenant; a parallel build has about 100
export const LOCAL_PROCESSES_RECORDED_MAX = 512; // listed in the usage file, to find them if the machine dies
export const LOCAL_TERMINAL_DRAIN_MS = 100; // a shell has ended; its last output is in the terminal by then

// Replies
export const REPLY_BYTES = 1024; // every sealed reply; a receipt with a 253-byte host name has about 700
export const REPLY_RECORDS_MAX = 50_000; // about 75 MB at most on one node

// Ledger
export const LOG_OUTBOX_MAX = 8; // interim entries that wait for the network; usage is cumulative, so none is missed
export const STATE_BYTES_MAX = 64 * KIB; // one grant's journal row; the largest, with a full outbox, has about 16 KiB
export const EVENTS_PER_COMMIT_MAX = 64; // transitions that share one sync to disk (about 1 ms)
export const EXTERNAL_EVENTS_MAX = 1024; // grants, ticks and samples waiting for the writer; more are offered again
export const QUICK_WORKERS_MAX = 64; // effects that only talk to members and board
export const SLOW_WORKERS_MAX = 256; // machines being started or ended at once
export const WORKERS_MAX = QUICK_WORKERS_MAX + SLOW_WORKERS_MAX;
export const EFFECT_RETRY_MS = 250; // first wait after an indefinite failure, then doubled
export const EFFECT_RETRY_MS_MAX = 30 * SECOND_MS;
export const JOURNAL_RETRY_MS = SECOND_MS; // between attempts to write a batch to a full or read-only disk
export const JOURNAL_PRUNE_MS = HOUR_MS; // settled grants are small; a day of 10/s is about 1 GB
export const WORKER_STOP_MS = 3 * SECOND_MS; // for aborted workers to return; what they did is done again

// Fleet
export const BACKEND_ASK_MS = 30 * SECOND_MS; // one backend's offers or listing; a cloud pages through its regions
export const BACKEND_PATIENCE_MS = 2 * SECOND_MS; // what the card waits for slow backends; their offers follow later
export const PLACEMENTS_MAX = 32; // tries of one grant; every one takes about 200 bytes of its journal row
export const BREAKER_CAPACITY_MS = 5 * MINUTE_MS; // stock-outs of one machine type in one zone last minutes
export const BREAKER_QUOTA_MS = 10 * MINUTE_MS; // a quota frees up when other machines end
export const BREAKER_AUTH_MS = 2 * MINUTE_MS; // somebody has to look; retried so that a fix is noticed
export const ORPHAN_AGE_MS = 30 * SECOND_MS; // younger machines may belong to a create call still under way
export const ORPHAN_SIGHTINGS = 3; // sweeps in a row that nobody claimed it

// Stages
export const GATHER_MS = 30 * SECOND_MS; // with fewer than t members a grant is given back after this
export const GONE_RECHECK_MS = 250; // between two answers that a machine is gone
export const GONE_RECHECK_MS_MAX = 8 * SECOND_MS; // while a machine takes its time to end; clouds count every call
export const TERMINATE_ALARM_MS = 2 * MINUTE_MS; // then an alarm, doubling; never a time-out
export const REPOST_TICKS = 10; // between repetitions of a receipt nobody has acknowledged
export const REFUSAL_DETAIL_CHARS_MAX = 240; // fits a sealed reply at three bytes each; a cloud's error may be a whole page
export const INBOX_INTERVAL_MS = 500; // how late a deadline or a grant the queue dropped is noticed
export const CARD_COALESCE_MS = 250; // changes that come together make one card; every node checks each
export const ENDORSEMENT_MS = 12 * HOUR_MS; // what a provider that endorses itself asks for
export const ENDORSEMENT_RENEW_MS = 6 * HOUR_MS;
export const OFFERS_REMEMBERED_MAX = 256; // ten cards of the largest size
export const BALLOT_KEEP_EXTRA_TICKS = 1000; // beyond the life of every record; forgetting a vote too early would be a second one
export const DRAIN_LOOK_MS = 250; // how often a drain counts the live grants
export const DRAIN_END_MS = 10 * MINUTE_MS; // for machines that were told to end; clouds take minutes
export const MARKER_MS = 30 * SECOND_MS; // for a quorum of members to take the marker

// Admin
export const EVENTS_KEPT_MAX = 50; // recent events on the page; what the original dashboard kept
export const EVENT_CLIENTS_MAX = 16; // open live streams: a few browser tabs and a status command
export const SNAPSHOT_COALESCE_MS = 250; // changes that come together make one snapshot
export const SNAPSHOT_LOOK_MS = 2 * SECOND_MS; // how late a change that nobody announces (a tick, a lost member) is seen
export const HEARTBEAT_MS = 15 * SECOND_MS; // a quiet live stream says that it lives; a quarter of the next bound
export const ADMIN_IDLE_SECONDS = 60; // a client that neither sends nor takes anything for this long is cut off
export const ADMIN_STOP_MS = SECOND_MS; // for answers under way when the endpoint closes; each takes milliseconds
export const ADMIN_BODY_BYTES_MAX = KIB; // the largest body, {"terminate":true}, has 18 bytes
export const BLOCKED_SHOWN_MAX = 16; // breakers listed per backend; the rest is counted
export const STAGE_CLOCKS_MAX = 4 * GRANTS_MAX; // grants whose stage is being timed; more are counted and not timed

// Requester
export const LOGIN_OUTPUT_BYTES_MAX = 16 * MIB; // what one command on a machine may print through us
export const SSH_READY_MS = 20 * SECOND_MS; // connection, key exchange and login to a machine that is up
export const ADMIN_CALL_MS = 10 * SECOND_MS; // one call of a command to the provider on this host
export const ADMIN_SILENCE_MS = 2 * MINUTE_MS; // a provider that answers nothing for so long during a drain is stuck; a full disk or a busy host passes
export const REFUSAL_DETAIL_MS = 3 * SECOND_MS; // between a public refusal and its sealed words lie milliseconds, or a lost message
export const REQUESTER_LOOK_MS = SECOND_MS; // records wake a requester at once; this bounds how late a lapsed wait is seen
export const JOIN_NOTICE_MS = 5 * SECOND_MS; // a member far away answers in one; a person wonders after this
export const JOIN_MS = 30 * SECOND_MS; // with too few members in reach; two redials of each, and no firewall answers later
export const JOIN_CATCH_UP_MS = 10 * MINUTE_MS; // for members in reach to hand over their records, a full node's over 2 Mbit/s
