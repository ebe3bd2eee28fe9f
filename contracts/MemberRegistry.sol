// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title MemberRegistry
/// @notice Who belongs to the consortium, which keys speak for whom from which block on, and how the members decide.
/// @dev No owner, no proxy, no pause. Members decide by EIP-712 votes that their root keys sign and anyone may relay; a
/// member's root key alone changes that member's keys. Every change is one event, and `head` runs over all of them:
/// head_i = keccak256(head_{i-1} ‖ abi.encode(index, block number, block time, kind, data)). What a vote is about is the
/// very `data` that the change will record, so what was voted and what was done are the same bytes.
/// Blocks are block numbers, times are Unix seconds of the block.
contract MemberRegistry is EIP712 {
    /// @dev What a change did; the values are part of `head`.
    enum Kind {
        None,
        MemberAdmitted,
        MemberSuspended,
        MemberReinstated,
        MemberExpelled,
        KeyAdded,
        KeyRetired,
        KeyRevoked,
        RootRotated,
        RelayerAdded,
        RelayerRemoved,
        OperatorSet,
        QuorumChanged,
        Approved
    }

    /// @dev Where a member stands. Expulsion is for good: an id, like an address, is given once.
    enum Standing {
        Unknown,
        Active,
        Suspended,
        Expelled
    }

    /// @dev A signing key that a founder brings along.
    struct FirstKey {
        address key;
        uint8 purposes;
        bool custodial;
    }

    /// @dev A member of the first hour.
    struct Founder {
        bytes32 member;
        address rootKey;
        bytes32 nextRootHash;
        bool voting;
        FirstKey[] keys;
    }

    /// @dev Who may anchor checkpoints of the log `origin`.
    struct OriginOperator {
        bytes32 origin;
        address operator;
    }

    /// @dev A member. `nextRootHash` is keccak256(abi.encode(next root key)); zero means that only a vote replaces the root.
    struct Member {
        address rootKey;
        Standing standing;
        bool voting;
        uint64 nonce;
        bytes32 nextRootHash;
    }

    /// @dev A signing key. `retiredFrom` and `revokedFrom` are the first blocks at which it no longer counts, 0 for never.
    struct Key {
        bytes32 member;
        uint8 purposes;
        bool custodial;
        uint64 addedAt;
        uint64 retiredFrom;
        uint64 revokedFrom;
        uint64 compromisedSince;
    }

    /// @dev `standing` holds from block `since` on.
    struct StandingChange {
        uint64 since;
        Standing standing;
    }

    /// @dev A change put to the vote. `nonce` only tells apart two proposals of the same change.
    struct Proposal {
        uint8 kind;
        bytes data;
        uint64 expiresAt;
        uint256 nonce;
    }

    /// @dev How a proposal stands. `openedAt` is the number of changes when the first vote opened it.
    struct Ballot {
        uint64 openedAt;
        uint16 threshold;
        bool executed;
        bytes32[] voters;
        mapping(bytes32 member => address rootKey) votedWith;
    }

    /// @dev What a root key signs with each change: the member's next nonce, the last second at which the change may be
    /// carried out, and the signature over both and the change.
    struct Authorisation {
        uint64 nonce;
        uint64 deadline;
        bytes signature;
    }

    /// @dev What a partner signs.
    struct Statement {
        bytes32 issuer;
        string kind;
        bytes32 stream;
        uint64 sequence;
        uint64 issuedAt;
        bytes32 contentRoot;
    }

    /// @notice Change number `index` (from 1) of this registry; `head` covers it and all before it.
    /// @param index dense number of the change
    /// @param kind one of `Kind`
    /// @param data what changed, ABI-encoded as docs/formats.md says for that kind
    /// @param head running head after this change
    event MembershipChanged(uint64 indexed index, uint8 indexed kind, bytes data, bytes32 head);

    /// @notice `member` voted for `proposal`; `support` of the `threshold` votes are now there.
    event Voted(bytes32 indexed proposal, bytes32 indexed member, uint16 support, uint16 threshold);

    /// @notice A member id, address or hash that must not be zero is zero.
    error ZeroValue();
    /// @notice The member has been admitted before; ids are given once.
    error MemberExists(bytes32 member);
    /// @notice `member` stands at `standing`, which does not allow this.
    error WrongStanding(bytes32 member, Standing standing);
    /// @notice `key` was taken before, by `member`; addresses are given once, across all members.
    error AddressTaken(address key, bytes32 member);
    /// @notice A member has committed itself to `key` as its next root key, so it signs nothing else.
    error ReservedForRoot(address key);
    /// @notice `key` is not a signing key of `member`.
    error UnknownKey(bytes32 member, address key);
    /// @notice Purposes are a bit set between 1 and 63.
    error PurposesOutOfRange(uint8 purposes);
    /// @notice `key` retires from block `retiredFrom` on already.
    error AlreadyRetired(address key, uint64 retiredFrom);
    /// @notice `key` is revoked from block `revokedFrom` on already, compromised since `compromisedSince`.
    error AlreadyRevoked(address key, uint64 revokedFrom, uint64 compromisedSince);
    /// @notice Retirement is announced ahead: not before block `earliest`, `offered` is sooner.
    error RetirementTooSoon(uint64 earliest, uint64 offered);
    /// @notice `compromisedSince` must lie between `earliest` and `latest`, both in seconds.
    error CompromiseOutOfRange(uint64 earliest, uint64 latest, uint64 offered);
    /// @notice `signer` signed where the root key `rootKey` of `member` had to.
    error NotRootKey(bytes32 member, address rootKey, address signer);
    /// @notice `rootKey` is not the key whose hash the member committed to.
    error NotNextRoot(bytes32 member, address rootKey, bytes32 committed);
    /// @notice The next change by this root key carries the nonce `expected`.
    error WrongNonce(bytes32 member, uint64 expected, uint64 offered);
    /// @notice Time ran out at `deadline`; it is `time` now.
    error Expired(uint64 deadline, uint64 time);
    /// @notice A proposal may stay open until `latest` at most.
    error ExpiryTooFar(uint64 latest, uint64 offered);
    /// @notice `member` has no vote.
    error NotAVoter(bytes32 member);
    /// @notice `member` got its vote by change `since`, after the proposal was opened at change `openedAt`.
    error TooLateToVote(bytes32 member, uint64 since, uint64 openedAt);
    /// @notice `member` has voted for `proposal` with its present root key.
    error AlreadyVoted(bytes32 proposal, bytes32 member);
    /// @notice `proposal` has been carried out.
    error AlreadyExecuted(bytes32 proposal);
    /// @notice No vote decides on changes of this kind.
    error NotVotable(uint8 kind);
    /// @notice The data of a change of this kind has `expected` bytes, not `offered`.
    error MalformedChange(uint8 kind, uint256 expected, uint256 offered);
    /// @notice Without `member` nobody could vote any more.
    error LastVoter(bytes32 member);
    /// @notice The relayer is already as the change would have it.
    error RelayerUnchanged(address relayer);
    /// @notice A quorum is more than half and at most all.
    error QuorumOutOfRange(uint16 numerator, uint16 denominator);
    /// @notice `what` has been approved before.
    error AlreadyApproved(bytes32 what);
    /// @notice A proposal is opened by a vote, never by a call alone.
    error NoVotes();
    /// @notice Every member that votes has one signature, and every signature one member.
    error LengthMismatch(uint256 members, uint256 signatures);

    /// @notice How long before now a root key alone may date a compromise, in seconds; further back takes a vote.
    uint64 public constant COMPROMISE_REACH = 30 days;
    /// @notice How long a proposal may stay open, in seconds.
    uint64 public constant MAX_PROPOSAL_AGE = 30 days;

    bytes32 private constant STATEMENT_TYPE = keccak256(
        "Statement(bytes32 issuer,string kind,bytes32 stream,uint64 sequence,uint64 issuedAt,bytes32 contentRoot)"
    );
    bytes32 private constant VOTE_TYPE =
        keccak256("Vote(bytes32 member,uint8 kind,bytes data,uint64 expiresAt,uint256 nonce)");
    bytes32 private constant ADD_KEY_TYPE = keccak256(
        "AddKey(bytes32 member,address key,uint8 purposes,bool custodial,uint64 nonce,uint64 deadline)"
    );
    bytes32 private constant RETIRE_KEY_TYPE =
        keccak256("RetireKey(bytes32 member,address key,uint64 effectiveBlock,uint64 nonce,uint64 deadline)");
    bytes32 private constant REVOKE_KEY_TYPE =
        keccak256("RevokeKey(bytes32 member,address key,uint64 compromisedSince,uint64 nonce,uint64 deadline)");
    bytes32 private constant ROTATE_ROOT_TYPE =
        keccak256("RotateRoot(bytes32 member,address rootKey,bytes32 nextRootHash,uint64 nonce,uint64 deadline)");

    /// @notice How many blocks ahead a retirement is announced at least: longer than an entry may wait for its anchor.
    uint64 public immutable RETIREMENT_BLOCKS;

    /// @notice Running head over every change so far.
    bytes32 public head;
    /// @notice Number of changes so far.
    uint64 public changeCount;
    /// @notice Active members that vote.
    uint16 public votingMembers;
    /// @notice Share of the voting members that carries a proposal, with `quorumDenominator`; rounded up.
    uint16 public quorumNumerator;
    /// @notice See `quorumNumerator`.
    uint16 public quorumDenominator;

    /// @notice Whether `relayer` may send what members sign, to the contracts that ask.
    mapping(address relayer => bool) public isRelayer;
    /// @notice Who may anchor checkpoints of the log `origin`; zero for nobody.
    mapping(bytes32 origin => address operator) public operatorOf;
    /// @notice Whether the members approved `what`.
    mapping(bytes32 what => bool) public isApproved;

    mapping(bytes32 member => Member) private _members;
    mapping(bytes32 member => StandingChange[]) private _standings;
    mapping(bytes32 member => uint64 change) private _votingSince;
    mapping(address key => bytes32 member) private _holders;
    mapping(address key => Key) private _keys;
    mapping(bytes32 rootHash => bool) private _reserved;
    mapping(bytes32 proposal => Ballot) private _ballots;

    /// @notice Founds the consortium. The quorum is two thirds; the first changes of the registry record all of this.
    /// @param founders first members with their keys, in order
    /// @param relayers first relayers
    /// @param operators who may anchor for which origin
    /// @param retirementBlocks blocks between the announcement of a retirement and its effect, at least
    constructor(
        Founder[] memory founders,
        address[] memory relayers,
        OriginOperator[] memory operators,
        uint64 retirementBlocks
    ) EIP712("Tallystick", "1") {
        RETIREMENT_BLOCKS = retirementBlocks;
        for (uint256 i = 0; i < founders.length; ++i) {
            Founder memory founder = founders[i];
            _admit(founder.member, founder.rootKey, founder.nextRootHash, founder.voting);
            for (uint256 j = 0; j < founder.keys.length; ++j) {
                FirstKey memory first = founder.keys[j];
                _addKey(founder.member, first.key, first.purposes, first.custodial);
            }
        }
        require(votingMembers > 0, LastVoter(0));
        for (uint256 i = 0; i < relayers.length; ++i) _setRelayer(relayers[i], true);
        for (uint256 i = 0; i < operators.length; ++i) _setOperator(operators[i].origin, operators[i].operator);
        _setQuorum(2, 3);
    }

    /// @notice Casts votes for `proposal`; opens it with the first and carries it out with the last that it takes.
    /// @dev Anyone may send this. The threshold is fixed when the proposal is opened. A vote counts while its member is
    /// active, had its vote when the proposal was opened and still has the root key that signed, so that a stolen root
    /// loses its votes together with its key. What the change needs is checked when it is carried out.
    /// @param proposal the change, its expiry and its nonce
    /// @param members who votes
    /// @param signatures their root keys' signatures of Vote(bytes32 member,uint8 kind,bytes data,uint64 expiresAt,uint256 nonce)
    function vote(Proposal calldata proposal, bytes32[] calldata members, bytes[] calldata signatures) external {
        require(members.length > 0, NoVotes());
        require(members.length == signatures.length, LengthMismatch(members.length, signatures.length));
        require(block.timestamp <= proposal.expiresAt, Expired(proposal.expiresAt, uint64(block.timestamp)));
        bytes32 id = proposalId(proposal);
        Ballot storage ballot = _ballots[id];
        require(!ballot.executed, AlreadyExecuted(id));
        if (ballot.threshold == 0) _open(ballot, proposal);

        for (uint256 i = 0; i < members.length; ++i) {
            _cast(ballot, id, proposal, members[i], signatures[i]);
            uint16 support = _support(ballot);
            emit Voted(id, members[i], support, ballot.threshold);
            if (support >= ballot.threshold) {
                ballot.executed = true;
                _execute(proposal.kind, proposal.data);
                return; // votes beyond the threshold change nothing
            }
        }
    }

    /// @notice Adds a signing key, valid from this block on.
    /// @param memberId whose key
    /// @param key address of the key, never used here before
    /// @param purposes bit set: events 1, agreements 2, login 4, checkpoint 8, report 16, relay 32
    /// @param custodial whether somebody else keeps the key for the member
    /// @param authorisation root key's signature of
    /// AddKey(bytes32 member,address key,uint8 purposes,bool custodial,uint64 nonce,uint64 deadline)
    function addKey(
        bytes32 memberId,
        address key,
        uint8 purposes,
        bool custodial,
        Authorisation calldata authorisation
    ) external {
        require(_members[memberId].standing == Standing.Active, WrongStanding(memberId, _members[memberId].standing));
        bytes32 structHash = keccak256(
            abi.encode(ADD_KEY_TYPE, memberId, key, purposes, custodial, authorisation.nonce, authorisation.deadline)
        );
        _authorise(memberId, _members[memberId].rootKey, structHash, authorisation);
        _addKey(memberId, key, purposes, custodial);
    }

    /// @notice Lets a signing key end at `effectiveBlock`, at least `RETIREMENT_BLOCKS` ahead.
    /// @dev Suspended members may do this too.
    /// @param memberId whose key
    /// @param key the key
    /// @param effectiveBlock first block at which the key no longer counts
    /// @param authorisation root key's signature of
    /// RetireKey(bytes32 member,address key,uint64 effectiveBlock,uint64 nonce,uint64 deadline)
    function retireKey(
        bytes32 memberId,
        address key,
        uint64 effectiveBlock,
        Authorisation calldata authorisation
    ) external {
        _requireMember(memberId);
        bytes32 structHash = keccak256(
            abi.encode(RETIRE_KEY_TYPE, memberId, key, effectiveBlock, authorisation.nonce, authorisation.deadline)
        );
        _authorise(memberId, _members[memberId].rootKey, structHash, authorisation);

        Key storage known = _keys[key];
        require(known.member == memberId, UnknownKey(memberId, key));
        require(known.retiredFrom == 0, AlreadyRetired(key, known.retiredFrom));
        require(known.revokedFrom == 0, AlreadyRevoked(key, known.revokedFrom, known.compromisedSince));
        uint64 earliest = uint64(block.number) + RETIREMENT_BLOCKS;
        require(effectiveBlock >= earliest, RetirementTooSoon(earliest, effectiveBlock));
        known.retiredFrom = effectiveBlock;
        _record(Kind.KeyRetired, abi.encode(memberId, key, effectiveBlock));
    }

    /// @notice Ends a signing key in this very block and says since when others may have used it.
    /// @dev Suspended members may do this too. Signatures anchored before this block stay valid; those made since
    /// `compromisedSince` are disputed. A retired key can still be revoked, and the compromise of a revoked one dated
    /// further back, never forward.
    /// @param memberId whose key
    /// @param key the key
    /// @param compromisedSince seconds, at most `COMPROMISE_REACH` before now and not after; further back takes a vote
    /// @param authorisation root key's signature of
    /// RevokeKey(bytes32 member,address key,uint64 compromisedSince,uint64 nonce,uint64 deadline)
    function revokeKey(
        bytes32 memberId,
        address key,
        uint64 compromisedSince,
        Authorisation calldata authorisation
    ) external {
        _requireMember(memberId);
        bytes32 structHash = keccak256(
            abi.encode(REVOKE_KEY_TYPE, memberId, key, compromisedSince, authorisation.nonce, authorisation.deadline)
        );
        _authorise(memberId, _members[memberId].rootKey, structHash, authorisation);

        uint64 time = uint64(block.timestamp);
        _revoke(memberId, key, compromisedSince, time > COMPROMISE_REACH ? time - COMPROMISE_REACH : 0);
    }

    /// @notice Replaces a member's root key by the one it committed to, and commits to the one after.
    /// @dev The new root signs: whoever stole the present one cannot rotate it away. Suspended members may do this too.
    /// @param memberId whose root
    /// @param rootKey the new root key; keccak256(abi.encode(rootKey)) is the member's `nextRootHash`
    /// @param nextRootHash the same hash of the root key to come; zero for none
    /// @param authorisation the NEW root's signature of
    /// RotateRoot(bytes32 member,address rootKey,bytes32 nextRootHash,uint64 nonce,uint64 deadline)
    function rotateRoot(
        bytes32 memberId,
        address rootKey,
        bytes32 nextRootHash,
        Authorisation calldata authorisation
    ) external {
        _requireMember(memberId);
        bytes32 committed = _members[memberId].nextRootHash;
        require(_rootHash(rootKey) == committed, NotNextRoot(memberId, rootKey, committed));
        bytes32 structHash = keccak256(
            abi.encode(ROTATE_ROOT_TYPE, memberId, rootKey, nextRootHash, authorisation.nonce, authorisation.deadline)
        );
        _authorise(memberId, rootKey, structHash, authorisation);
        _setRoot(memberId, rootKey, nextRootHash);
    }

    /// @notice The member `id`; `standing` is Unknown (0) where there is none.
    function member(bytes32 id) external view returns (Member memory) {
        return _members[id];
    }

    /// @notice The signing key `key`; its `member` is zero where there is none.
    function keyOf(address key) external view returns (Key memory) {
        return _keys[key];
    }

    /// @notice Who ever held `key`, as root or signing key; zero for nobody. It is never given again.
    function holderOf(address key) external view returns (bytes32) {
        return _holders[key];
    }

    /// @notice Whether a signature by `key` counts for `purpose` at `blockNumber`, as known now.
    /// @dev All changes of a block hold in that block: a key counts in the block that adds it and not in the block that
    /// revokes it, nor in one at whose end its member is suspended or expelled. About blocks to come it says what the
    /// changes so far let expect.
    /// @param key signer
    /// @param purpose bits that the key must all have, at least one
    /// @param blockNumber block that anchors the signature
    function isValidAt(address key, uint8 purpose, uint64 blockNumber) external view returns (bool) {
        Key storage known = _keys[key];
        if (known.member == 0 || purpose == 0 || known.purposes & purpose != purpose) return false;
        if (blockNumber < known.addedAt) return false;
        if (known.retiredFrom != 0 && blockNumber >= known.retiredFrom) return false;
        if (known.revokedFrom != 0 && blockNumber >= known.revokedFrom) return false;
        return _standingAt(known.member, blockNumber) == Standing.Active;
    }

    /// @notice Where `id` stood at the end of `blockNumber`.
    function standingAt(bytes32 id, uint64 blockNumber) external view returns (Standing) {
        return _standingAt(id, blockNumber);
    }

    /// @notice How a proposal stands: its threshold (0: not opened yet), the votes that count now, and whether it is done.
    function ballotOf(bytes32 proposal) external view returns (uint16 threshold, uint16 support, bool executed) {
        Ballot storage ballot = _ballots[proposal];
        return (ballot.threshold, _support(ballot), ballot.executed);
    }

    /// @notice The EIP-712 digest of `statement`: what its issuer signs, and its id.
    function statementDigest(Statement calldata statement) external view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    STATEMENT_TYPE,
                    statement.issuer,
                    keccak256(bytes(statement.kind)),
                    statement.stream,
                    statement.sequence,
                    statement.issuedAt,
                    statement.contentRoot
                )
            )
        );
    }

    /// @notice Who signed `digest`.
    /// @dev One encoding only: 65 bytes r ‖ s ‖ v, s in the lower half of the order, v 27 or 28. Reverts otherwise.
    function recover(bytes32 digest, bytes calldata signature) external pure returns (address) {
        return ECDSA.recoverCalldata(digest, signature);
    }

    /// @notice The id of `proposal`.
    function proposalId(Proposal calldata proposal) public pure returns (bytes32) {
        return keccak256(abi.encode(proposal.kind, proposal.data, proposal.expiresAt, proposal.nonce));
    }

    /// @dev Appends a change to the history and moves `head` over it.
    function _record(Kind kind, bytes memory data) private {
        uint64 index = ++changeCount;
        bytes memory change = abi.encode(index, uint64(block.number), uint64(block.timestamp), uint8(kind), data);
        bytes32 moved = keccak256(abi.encodePacked(head, change));
        head = moved;
        emit MembershipChanged(index, uint8(kind), data, moved);
    }

    /// @dev Opens `proposal`: from here on its threshold stands. Refuses early what could never be carried out.
    function _open(Ballot storage ballot, Proposal calldata proposal) private {
        uint64 furthest = uint64(block.timestamp) + MAX_PROPOSAL_AGE;
        require(proposal.expiresAt <= furthest, ExpiryTooFar(furthest, proposal.expiresAt));
        uint256 expected = _dataLength(proposal.kind);
        require(
            proposal.data.length == expected, MalformedChange(proposal.kind, expected, proposal.data.length)
        );
        ballot.openedAt = changeCount;
        ballot.threshold = uint16(
            (uint256(votingMembers) * quorumNumerator + quorumDenominator - 1) / quorumDenominator
        );
    }

    function _cast(
        Ballot storage ballot,
        bytes32 id,
        Proposal calldata proposal,
        bytes32 memberId,
        bytes calldata signature
    ) private {
        Member storage voter = _members[memberId];
        require(voter.voting && voter.standing == Standing.Active, NotAVoter(memberId));
        uint64 since = _votingSince[memberId];
        require(since <= ballot.openedAt, TooLateToVote(memberId, since, ballot.openedAt));
        address rootKey = voter.rootKey;
        address before = ballot.votedWith[memberId];
        require(before != rootKey, AlreadyVoted(id, memberId));

        address signer = ECDSA.recoverCalldata(_voteDigest(proposal, memberId), signature);
        require(signer == rootKey, NotRootKey(memberId, rootKey, signer));
        ballot.votedWith[memberId] = rootKey;
        if (before == address(0)) ballot.voters.push(memberId);
    }

    function _voteDigest(Proposal calldata proposal, bytes32 memberId) private view returns (bytes32) {
        return _hashTypedDataV4(
            keccak256(
                abi.encode(
                    VOTE_TYPE, memberId, proposal.kind, keccak256(proposal.data), proposal.expiresAt, proposal.nonce
                )
            )
        );
    }

    /// @dev Votes that count now; bounded by the number of members.
    function _support(Ballot storage ballot) private view returns (uint16 support) {
        for (uint256 i = 0; i < ballot.voters.length; ++i) {
            bytes32 id = ballot.voters[i];
            Member storage voter = _members[id];
            bool counts = voter.standing == Standing.Active && _votingSince[id] <= ballot.openedAt
                && ballot.votedWith[id] == voter.rootKey;
            if (counts) ++support;
        }
    }

    /// @dev Length of the data of a change that is decided by vote.
    function _dataLength(uint8 kind) private pure returns (uint256) {
        if (kind == uint8(Kind.MemberAdmitted)) return 128;
        if (kind == uint8(Kind.KeyRevoked) || kind == uint8(Kind.RootRotated)) return 96;
        if (kind == uint8(Kind.OperatorSet) || kind == uint8(Kind.QuorumChanged)) return 64;
        bool oneWord = kind == uint8(Kind.MemberSuspended) || kind == uint8(Kind.MemberReinstated)
            || kind == uint8(Kind.MemberExpelled) || kind == uint8(Kind.RelayerAdded)
            || kind == uint8(Kind.RelayerRemoved) || kind == uint8(Kind.Approved);
        require(oneWord, NotVotable(kind));
        return 32;
    }

    /// @dev Carries out what was voted. abi.decode refuses words that are too wide for their type.
    function _execute(uint8 kind, bytes calldata data) private {
        if (kind == uint8(Kind.MemberAdmitted)) {
            (bytes32 id, address rootKey, bytes32 nextRootHash, bool voting) =
                abi.decode(data, (bytes32, address, bytes32, bool));
            _admit(id, rootKey, nextRootHash, voting);
        } else if (kind == uint8(Kind.MemberSuspended)) {
            _setStanding(Kind.MemberSuspended, abi.decode(data, (bytes32)), Standing.Suspended);
        } else if (kind == uint8(Kind.MemberReinstated)) {
            _setStanding(Kind.MemberReinstated, abi.decode(data, (bytes32)), Standing.Active);
        } else if (kind == uint8(Kind.MemberExpelled)) {
            _setStanding(Kind.MemberExpelled, abi.decode(data, (bytes32)), Standing.Expelled);
        } else if (kind == uint8(Kind.KeyRevoked)) {
            (bytes32 id, address key, uint64 compromisedSince) = abi.decode(data, (bytes32, address, uint64));
            _revoke(id, key, compromisedSince, 0);
        } else if (kind == uint8(Kind.RootRotated)) {
            (bytes32 id, address rootKey, bytes32 nextRootHash) = abi.decode(data, (bytes32, address, bytes32));
            _requireMember(id);
            _setRoot(id, rootKey, nextRootHash);
        } else if (kind == uint8(Kind.RelayerAdded)) {
            _setRelayer(abi.decode(data, (address)), true);
        } else if (kind == uint8(Kind.RelayerRemoved)) {
            _setRelayer(abi.decode(data, (address)), false);
        } else if (kind == uint8(Kind.OperatorSet)) {
            (bytes32 origin, address operator) = abi.decode(data, (bytes32, address));
            _setOperator(origin, operator);
        } else if (kind == uint8(Kind.QuorumChanged)) {
            (uint16 numerator, uint16 denominator) = abi.decode(data, (uint16, uint16));
            _setQuorum(numerator, denominator);
        } else {
            _approve(abi.decode(data, (bytes32)));
        }
    }

    /// @dev Checks and uses up one authorisation by `rootKey`.
    function _authorise(
        bytes32 memberId,
        address rootKey,
        bytes32 structHash,
        Authorisation calldata authorisation
    ) private {
        Member storage known = _members[memberId];
        uint64 time = uint64(block.timestamp);
        require(time <= authorisation.deadline, Expired(authorisation.deadline, time));
        require(authorisation.nonce == known.nonce, WrongNonce(memberId, known.nonce, authorisation.nonce));
        address signer = ECDSA.recoverCalldata(_hashTypedDataV4(structHash), authorisation.signature);
        require(signer == rootKey, NotRootKey(memberId, rootKey, signer));
        ++known.nonce;
    }

    function _requireMember(bytes32 id) private view {
        Standing standing = _members[id].standing;
        require(standing == Standing.Active || standing == Standing.Suspended, WrongStanding(id, standing));
    }

    /// @dev What commits a member to `rootKey` as its next root key.
    function _rootHash(address rootKey) private pure returns (bytes32) {
        return keccak256(abi.encode(rootKey));
    }

    /// @dev Gives `key` to `id` for ever.
    function _take(bytes32 id, address key) private {
        require(key != address(0), ZeroValue());
        require(_holders[key] == 0, AddressTaken(key, _holders[key]));
        _holders[key] = id;
    }

    function _admit(bytes32 id, address rootKey, bytes32 nextRootHash, bool voting) private {
        require(id != 0, ZeroValue());
        require(_members[id].standing == Standing.Unknown, MemberExists(id));
        _take(id, rootKey);
        _members[id] = Member(rootKey, Standing.Active, voting, 0, nextRootHash);
        _reserved[nextRootHash] = true;
        _standings[id].push(StandingChange(uint64(block.number), Standing.Active));
        if (voting) ++votingMembers;
        _record(Kind.MemberAdmitted, abi.encode(id, rootKey, nextRootHash, voting));
        _votingSince[id] = changeCount;
    }

    /// @dev Active to suspended and back, and from either to expelled.
    function _setStanding(Kind kind, bytes32 id, Standing standing) private {
        Member storage known = _members[id];
        Standing before = known.standing;
        bool isAllowed = standing == Standing.Suspended
            ? before == Standing.Active
            : before == Standing.Suspended || (standing == Standing.Expelled && before == Standing.Active);
        require(isAllowed, WrongStanding(id, before));

        if (known.voting && before == Standing.Active) {
            require(votingMembers > 1, LastVoter(id));
            --votingMembers;
        }
        if (known.voting && standing == Standing.Active) ++votingMembers;
        known.standing = standing;
        _standings[id].push(StandingChange(uint64(block.number), standing));
        _record(kind, abi.encode(id));
        if (standing == Standing.Active) _votingSince[id] = changeCount;
    }

    function _addKey(bytes32 id, address key, uint8 purposes, bool custodial) private {
        require(purposes > 0 && purposes < 64, PurposesOutOfRange(purposes));
        _take(id, key);
        // Whoever stole a root sees its successor in the pool; it must not get in first with that address as a key.
        require(!_reserved[_rootHash(key)], ReservedForRoot(key));
        _keys[key] = Key(id, purposes, custodial, uint64(block.number), 0, 0, 0);
        _record(Kind.KeyAdded, abi.encode(id, key, purposes, custodial));
    }

    /// @dev Revokes, or dates the compromise of a revoked key further back; the revocation stays where it was.
    function _revoke(bytes32 id, address key, uint64 compromisedSince, uint64 earliest) private {
        Key storage known = _keys[key];
        require(known.member == id && id != 0, UnknownKey(id, key));
        uint64 time = uint64(block.timestamp);
        bool isInReach = compromisedSince >= earliest && compromisedSince <= time;
        require(isInReach, CompromiseOutOfRange(earliest, time, compromisedSince));
        if (known.revokedFrom == 0) {
            known.revokedFrom = uint64(block.number);
        } else {
            bool isEarlier = compromisedSince < known.compromisedSince;
            require(isEarlier, AlreadyRevoked(key, known.revokedFrom, known.compromisedSince));
        }
        known.compromisedSince = compromisedSince;
        _record(Kind.KeyRevoked, abi.encode(id, key, compromisedSince));
    }

    function _setRoot(bytes32 id, address rootKey, bytes32 nextRootHash) private {
        _take(id, rootKey);
        _members[id].rootKey = rootKey;
        _members[id].nextRootHash = nextRootHash;
        _reserved[nextRootHash] = true;
        _record(Kind.RootRotated, abi.encode(id, rootKey, nextRootHash));
    }

    function _setRelayer(address relayer, bool isOne) private {
        require(relayer != address(0), ZeroValue());
        require(isRelayer[relayer] != isOne, RelayerUnchanged(relayer));
        isRelayer[relayer] = isOne;
        _record(isOne ? Kind.RelayerAdded : Kind.RelayerRemoved, abi.encode(relayer));
    }

    /// @dev The zero address takes the operator away.
    function _setOperator(bytes32 origin, address operator) private {
        operatorOf[origin] = operator;
        _record(Kind.OperatorSet, abi.encode(origin, operator));
    }

    function _setQuorum(uint16 numerator, uint16 denominator) private {
        bool isMajority = uint256(numerator) * 2 > denominator && numerator <= denominator;
        require(isMajority, QuorumOutOfRange(numerator, denominator));
        quorumNumerator = numerator;
        quorumDenominator = denominator;
        _record(Kind.QuorumChanged, abi.encode(numerator, denominator));
    }

    function _approve(bytes32 what) private {
        require(!isApproved[what], AlreadyApproved(what));
        isApproved[what] = true;
        _record(Kind.Approved, abi.encode(what));
    }

    /// @dev Standing after all changes in blocks up to `blockNumber`; the latest change is the likeliest to be asked for.
    function _standingAt(bytes32 id, uint64 blockNumber) private view returns (Standing) {
        StandingChange[] storage changes = _standings[id];
        for (uint256 i = changes.length; i > 0; --i) {
            if (changes[i - 1].since <= blockNumber) return changes[i - 1].standing;
        }
        return Standing.Unknown;
    }
}
