// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {MemberRegistry} from "./MemberRegistry.sol";

/// @title CustodyLedger
/// @notice Who holds each unit, one custodian at a time, and every step that led there.
/// @dev No owner, no proxy, no pause. Custodians are one-time addresses, so that the chain tells nobody who hands what to
/// whom; that they belong to members is shown, and judged, off chain. Only relayers of the member registry may send, and
/// what they send counts by its signatures alone. A unit takes its steps one after the other: step n + 1 is the first
/// valid one after step n, and all others with that number are refused. `head` runs over the steps:
/// head_n = keccak256(abi.encode(head_{n-1}, struct hash of what was signed, block number, block time)), from head_{-1} = 0
/// over the opening, which is step 0. Times are Unix seconds of the block.
contract CustodyLedger is EIP712 {
    /// @dev A handoff as both sides signed it. The giver signs Give(…), which leaves `acceptanceDigest` out, when it
    /// ships; the taker signs Take(…), all of it. Each signature has 65 bytes r ‖ s ‖ v, s in the lower half of the
    /// order, v 27 or 28.
    struct HandOff {
        bytes32 unit;
        uint64 sequence;
        address from;
        address to;
        bytes32 offerDigest;
        bytes32 acceptanceDigest;
        uint64 deadline;
        bytes giverSignature;
        bytes takerSignature;
    }

    /// @dev Where a unit stands. `sequence` counts the steps since its opening; a closed unit keeps its last custodian.
    struct Unit {
        address custodian;
        uint64 sequence;
        bool isClosed;
        bytes32 head;
    }

    /// @notice Step 0 of `unit`: `custodian` holds it first.
    /// @param unit keccak256(abi.encode(custodian, commitment))
    /// @param custodian one-time address of the first custodian
    /// @param commitment salted hash of what the unit is
    /// @param deadline until when the opening might be sent
    /// @param head running head after this step
    event Opened(bytes32 indexed unit, address custodian, bytes32 commitment, uint64 deadline, bytes32 head);

    /// @notice Step `sequence` of `unit`: `from` handed it to `to`.
    /// @param unit the unit
    /// @param sequence number of the step, from 1 and dense
    /// @param from one-time address of the giver, who held it
    /// @param to one-time address of the taker, who holds it now
    /// @param offerDigest id of the statement with which the giver offered it
    /// @param acceptanceDigest id of the statement with which the taker accepted it
    /// @param deadline until when the handoff might be sent
    /// @param head running head after this step
    event HandedOff(
        bytes32 indexed unit,
        uint64 sequence,
        address from,
        address to,
        bytes32 offerDigest,
        bytes32 acceptanceDigest,
        uint64 deadline,
        bytes32 head
    );

    /// @notice Handoff number `item` of a batch changed nothing.
    /// @param unit the unit it named
    /// @param sequence the step it wanted to be
    /// @param item its place in the batch, from 0
    /// @param reason the error that it would have met alone, ABI-encoded
    event HandOffRefused(bytes32 indexed unit, uint64 sequence, uint256 item, bytes reason);

    /// @notice Step `sequence` of `unit`, and its last: `custodian` closed it.
    /// @param unit the unit
    /// @param sequence number of the step
    /// @param custodian one-time address of the custodian
    /// @param reasonDigest id of the statement that says why
    /// @param deadline until when the closing might be sent
    /// @param head running head after this step
    event Closed(
        bytes32 indexed unit, uint64 sequence, address custodian, bytes32 reasonDigest, uint64 deadline, bytes32 head
    );

    /// @notice Where `unit` stands in this transaction; all zero for a unit that was never opened here.
    /// @param unit the unit
    /// @param custodian who holds it, or held it last
    /// @param sequence steps since its opening
    /// @param isClosed whether it takes no more steps
    /// @param head running head over its steps
    event Certified(bytes32 indexed unit, address custodian, uint64 sequence, bool isClosed, bytes32 head);

    /// @notice `caller` is no relayer of this network.
    error NotRelayer(address caller);
    /// @notice An address that must not be zero is zero.
    error ZeroAddress();
    /// @notice `unit` was opened before and stands at `sequence`.
    error AlreadyOpened(bytes32 unit, uint64 sequence);
    /// @notice `unit` was never opened here.
    error UnknownUnit(bytes32 unit);
    /// @notice `unit` was closed by step `sequence`.
    error UnitClosed(bytes32 unit, uint64 sequence);
    /// @notice The next step of `unit` is `expected`, not `offered`.
    error WrongSequence(bytes32 unit, uint64 expected, uint64 offered);
    /// @notice `unit` is held by `custodian`, not by `offered`.
    error NotCustodian(bytes32 unit, address custodian, address offered);
    /// @notice `custodian` would hand `unit` to itself.
    error SelfHandOff(bytes32 unit, address custodian);
    /// @notice Time ran out at `deadline`; it is `time` now.
    error Expired(bytes32 unit, uint64 deadline, uint64 time);
    /// @notice `expected` had to sign and did not: `signer` did, zero for a signature that is not in the one accepted form.
    error WrongSigner(bytes32 unit, address expected, address signer);
    /// @notice Handoff number `item` of a batch that wanted all or nothing would be refused for `reason`.
    error ItemRefused(uint256 item, bytes reason);

    bytes32 private constant OPEN_TYPE = keccak256("Open(address custodian,bytes32 commitment,uint64 deadline)");
    bytes32 private constant GIVE_TYPE = keccak256(
        "Give(bytes32 unit,uint64 sequence,address from,address to,bytes32 offerDigest,uint64 deadline)"
    );
    bytes32 private constant TAKE_TYPE = keccak256(
        "Take(bytes32 unit,uint64 sequence,address from,address to,bytes32 offerDigest,bytes32 acceptanceDigest,uint64 deadline)"
    );
    bytes32 private constant CLOSE_TYPE =
        keccak256("Close(bytes32 unit,uint64 sequence,address custodian,bytes32 reasonDigest,uint64 deadline)");

    /// @notice The registry that names the relayers.
    MemberRegistry public immutable registry;

    mapping(bytes32 unit => Unit) private _units;

    /// @param registry_ the member registry of this network
    constructor(MemberRegistry registry_) EIP712("Tallystick", "1") {
        registry = registry_;
    }

    /// @dev Relayers are shared, so the sender says nothing about the parties.
    modifier onlyRelayer() {
        require(registry.isRelayer(msg.sender), NotRelayer(msg.sender));
        _;
    }

    /// @notice Opens the unit `unitOf(firstCustodian, commitment)`. Its id commits to both, so nobody else can open it.
    /// @param firstCustodian one-time address of who holds it first
    /// @param commitment salted hash of what the unit is
    /// @param deadline last second at which this may be sent
    /// @param signature of `firstCustodian` over Open(address custodian,bytes32 commitment,uint64 deadline)
    /// @return unit its id
    function open(address firstCustodian, bytes32 commitment, uint64 deadline, bytes calldata signature)
        external
        onlyRelayer
        returns (bytes32 unit)
    {
        require(firstCustodian != address(0), ZeroAddress());
        unit = unitOf(firstCustodian, commitment);
        Unit storage known = _units[unit];
        require(known.custodian == address(0), AlreadyOpened(unit, known.sequence));
        require(block.timestamp <= deadline, Expired(unit, deadline, uint64(block.timestamp)));
        bytes32 signed = _openHash(firstCustodian, commitment, deadline);
        _revertWith(_unlessSigned(unit, firstCustodian, _hashTypedDataV4(signed), signature));

        bytes32 head = _next(0, signed);
        known.custodian = firstCustodian;
        known.head = head;
        emit Opened(unit, firstCustodian, commitment, deadline, head);
    }

    /// @notice Hands a unit from its custodian to the next.
    /// @param handoff what both sides signed
    function handOff(HandOff calldata handoff) external onlyRelayer {
        _revertWith(_handOff(handoff, _domainSeparatorV4()));
    }

    /// @notice Hands many units over, in order. A bad one changes nothing and is told by `HandOffRefused`.
    /// @dev The gas of a block bounds the batch. Called without sending, it rehearses.
    /// @param handoffs what the sides of each signed; several steps of one unit come in their order
    /// @param allOrNothing whether a bad one refuses them all
    /// @return refusals the error of each, ABI-encoded, empty for those that were taken
    function handOffMany(HandOff[] calldata handoffs, bool allOrNothing)
        external
        onlyRelayer
        returns (bytes[] memory refusals)
    {
        refusals = new bytes[](handoffs.length);
        bytes32 separator = _domainSeparatorV4();
        for (uint256 i = 0; i < handoffs.length; ++i) {
            HandOff calldata handoff = handoffs[i];
            bytes memory refusal = _handOff(handoff, separator);
            if (refusal.length == 0) continue;
            require(!allOrNothing, ItemRefused(i, refusal));
            refusals[i] = refusal;
            emit HandOffRefused(handoff.unit, handoff.sequence, i, refusal);
        }
    }

    /// @notice Ends a unit: it was consumed, taken apart, or goes on under another id.
    /// @param unit the unit
    /// @param sequence number of this step
    /// @param reasonDigest id of the statement that says why
    /// @param deadline last second at which this may be sent
    /// @param signature of the custodian over
    /// Close(bytes32 unit,uint64 sequence,address custodian,bytes32 reasonDigest,uint64 deadline)
    function close(bytes32 unit, uint64 sequence, bytes32 reasonDigest, uint64 deadline, bytes calldata signature)
        external
        onlyRelayer
    {
        Unit storage known = _units[unit];
        address custodian = known.custodian;
        _revertWith(_unlessNext(known, unit, sequence, deadline));
        bytes32 signed = _closeHash(unit, sequence, custodian, reasonDigest, deadline);
        _revertWith(_unlessSigned(unit, custodian, _hashTypedDataV4(signed), signature));

        bytes32 head = _next(known.head, signed);
        known.sequence = sequence;
        known.isClosed = true;
        known.head = head;
        emit Closed(unit, sequence, custodian, reasonDigest, deadline, head);
    }

    /// @notice Writes into this block where units stand, so that a receipt of it proves their steps to be all there are.
    /// @param units the units
    function certify(bytes32[] calldata units) external onlyRelayer {
        for (uint256 i = 0; i < units.length; ++i) {
            Unit storage known = _units[units[i]];
            emit Certified(units[i], known.custodian, known.sequence, known.isClosed, known.head);
        }
    }

    /// @notice Where `unit` stands; all zero where it was never opened.
    function standing(bytes32 unit) external view returns (Unit memory) {
        return _units[unit];
    }

    /// @notice What the first custodian signs to open a unit.
    function openDigest(address firstCustodian, bytes32 commitment, uint64 deadline) external view returns (bytes32) {
        return _hashTypedDataV4(_openHash(firstCustodian, commitment, deadline));
    }

    /// @notice What giver and taker sign. The signatures in `handoff` are not looked at, nor the width of its words.
    function handOffDigests(HandOff calldata handoff) external view returns (bytes32 give, bytes32 take) {
        return (_hashTypedDataV4(_giveHash(handoff)), _hashTypedDataV4(_takeHash(handoff)));
    }

    /// @notice What `custodian` signs to close `unit`.
    function closeDigest(bytes32 unit, uint64 sequence, address custodian, bytes32 reasonDigest, uint64 deadline)
        external
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(_closeHash(unit, sequence, custodian, reasonDigest, deadline));
    }

    /// @notice The id of the unit that `firstCustodian` opens with `commitment`.
    function unitOf(address firstCustodian, bytes32 commitment) public pure returns (bytes32) {
        return keccak256(abi.encode(firstCustodian, commitment));
    }

    /// @dev Takes the step, or returns the error that speaks against it and changes nothing.
    function _handOff(HandOff calldata handoff, bytes32 separator) private returns (bytes memory refusal) {
        bytes32 unit = handoff.unit;
        Unit storage known = _units[unit];
        address custodian = known.custodian;
        (address from, address to) = (handoff.from, handoff.to);
        refusal = _unlessNext(known, unit, handoff.sequence, handoff.deadline);
        if (refusal.length != 0) return refusal;
        if (from != custodian) return abi.encodeWithSelector(NotCustodian.selector, unit, custodian, from);
        if (to == address(0)) return abi.encodeWithSelector(ZeroAddress.selector);
        if (to == from) return abi.encodeWithSelector(SelfHandOff.selector, unit, from);
        bytes32 give = MessageHashUtils.toTypedDataHash(separator, _giveHash(handoff));
        refusal = _unlessSigned(unit, from, give, handoff.giverSignature);
        if (refusal.length != 0) return refusal;
        bytes32 signed = _takeHash(handoff);
        bytes32 take = MessageHashUtils.toTypedDataHash(separator, signed);
        refusal = _unlessSigned(unit, to, take, handoff.takerSignature);
        if (refusal.length != 0) return refusal;

        bytes32 head = _next(known.head, signed);
        known.custodian = to;
        known.sequence = handoff.sequence;
        known.head = head;
        emit HandedOff(
            unit, handoff.sequence, from, to, handoff.offerDigest, handoff.acceptanceDigest, handoff.deadline, head
        );
    }

    /// @dev What speaks against step `sequence` of `unit` now, whatever the step; empty for nothing.
    function _unlessNext(Unit storage known, bytes32 unit, uint64 sequence, uint64 deadline)
        private
        view
        returns (bytes memory)
    {
        uint64 before = known.sequence;
        if (known.custodian == address(0)) return abi.encodeWithSelector(UnknownUnit.selector, unit);
        if (known.isClosed) return abi.encodeWithSelector(UnitClosed.selector, unit, before);
        if (sequence != before + 1) {
            return abi.encodeWithSelector(WrongSequence.selector, unit, before + 1, sequence);
        }
        if (block.timestamp > deadline) {
            return abi.encodeWithSelector(Expired.selector, unit, deadline, uint64(block.timestamp));
        }
        return "";
    }

    /// @dev The error unless `expected` signed `digest`, in the one accepted form; empty if it did.
    function _unlessSigned(bytes32 unit, address expected, bytes32 digest, bytes calldata signature)
        private
        pure
        returns (bytes memory)
    {
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (signer == expected) return "";
        return abi.encodeWithSelector(WrongSigner.selector, unit, expected, signer);
    }

    /// @dev Reverts with `refusal`, an encoded error, unless it is empty.
    function _revertWith(bytes memory refusal) private pure {
        if (refusal.length == 0) return;
        assembly ("memory-safe") {
            revert(add(refusal, 32), mload(refusal))
        }
    }

    function _next(bytes32 head, bytes32 signed) private view returns (bytes32) {
        return keccak256(abi.encode(head, signed, block.number, block.timestamp));
    }

    function _openHash(address custodian, bytes32 commitment, uint64 deadline) private pure returns (bytes32) {
        return keccak256(abi.encode(OPEN_TYPE, custodian, commitment, deadline));
    }

    /// @dev The words of a handoff stand in calldata as Give and Take have them, so they are copied, not encoded again: a
    /// fifth of a handoff's work. `_handOff` reads each by itself as well, which refuses one that is too wide.
    function _giveHash(HandOff calldata handoff) private pure returns (bytes32 hash) {
        (bytes32 typeHash, uint256 deadline) = (GIVE_TYPE, handoff.deadline);
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, typeHash)
            calldatacopy(add(words, 32), handoff, 160) // unit, sequence, from, to, offerDigest
            mstore(add(words, 192), deadline)
            hash := keccak256(words, 224)
        }
    }

    function _takeHash(HandOff calldata handoff) private pure returns (bytes32 hash) {
        bytes32 typeHash = TAKE_TYPE;
        assembly ("memory-safe") {
            let words := mload(0x40)
            mstore(words, typeHash)
            calldatacopy(add(words, 32), handoff, 224) // all but the signatures
            hash := keccak256(words, 256)
        }
    }

    function _closeHash(bytes32 unit, uint64 sequence, address custodian, bytes32 reasonDigest, uint64 deadline)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(CLOSE_TYPE, unit, sequence, custodian, reasonDigest, deadline));
    }
}
