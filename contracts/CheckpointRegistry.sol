// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ConsistencyProof} from "./ConsistencyProof.sol";
import {MemberRegistry} from "./MemberRegistry.sol";

/// @title CheckpointRegistry
/// @notice The last checkpoint of every log of the consortium, and only checkpoints that extend the one before.
/// @dev No owner, no proxy, no pause. A later deployment continues a log by `adopt`, which the members vote.
contract CheckpointRegistry {
    /// @dev The first `size` entries of a log under one Merkle root, and when the chain saw them.
    struct Checkpoint {
        uint64 size;
        uint64 blockNumber;
        uint64 anchoredAt;
        bytes32 root;
    }

    /// @notice The log `origin` now stands at `size` entries under `root`.
    /// @param origin keccak256 of the origin's text
    /// @param size entries in the log
    /// @param root RFC 9162 root hash over them
    /// @param previousSize entries at the anchor before, 0 at the first: no anchor lies between the two
    /// @param previousAnchoredAt time of the block of the anchor before, in seconds, 0 at the first
    /// @param registryHead running head of the member registry in this block, before any later change
    /// @param registryChanges number of changes that `registryHead` covers
    event CheckpointAnchored(
        bytes32 indexed origin,
        uint64 size,
        bytes32 root,
        uint64 previousSize,
        uint64 previousAnchoredAt,
        bytes32 registryHead,
        uint64 registryChanges
    );

    /// @notice `caller` is not the operator of `origin`, who is `operator` (zero: none was set).
    error NotOperator(bytes32 origin, address operator, address caller);
    /// @notice The log already stands at `anchored` entries; `offered` is no more than that.
    error StaleCheckpoint(uint64 anchored, uint64 offered);
    /// @notice The proof does not show that the tree of `offered` entries begins with the anchored tree.
    error NotAnExtension(uint64 anchored, uint64 offered);
    /// @notice The log already stands at `anchored` entries here, so no older tree can be adopted for it.
    error AlreadyStarted(bytes32 origin, uint64 anchored);
    /// @notice The members have not approved `adoption`.
    error NotApproved(bytes32 adoption);
    /// @notice A tree without entries cannot be adopted.
    error EmptyTree(bytes32 origin);

    /// @notice The registry that names the operators and whose head every anchor carries.
    MemberRegistry public immutable registry;

    mapping(bytes32 origin => Checkpoint checkpoint) private _latest;

    /// @param registry_ the member registry of this network
    constructor(MemberRegistry registry_) {
        registry = registry_;
    }

    /// @notice Anchors the checkpoint of `size` entries under `root` as the latest of the log `origin`.
    /// @dev The proof, not the operator, is what keeps the log append-only. The first checkpoint of a log extends
    /// the empty tree and takes an empty path. The same checkpoint twice is stale, so a resend cannot anchor twice.
    /// @param origin keccak256 of the origin's text
    /// @param size entries in the log, more than anchored so far
    /// @param root RFC 9162 root hash over them
    /// @param path consistency proof from the anchored checkpoint to this one
    function anchor(bytes32 origin, uint64 size, bytes32 root, bytes32[] calldata path) external {
        address operator = registry.operatorOf(origin);
        require(msg.sender == operator, NotOperator(origin, operator, msg.sender));
        Checkpoint storage anchored = _latest[origin];
        require(size > anchored.size, StaleCheckpoint(anchored.size, size));
        bool isExtension = anchored.size == 0
            ? path.length == 0
            : ConsistencyProof.holds(anchored.size, size, anchored.root, root, path);
        require(isExtension, NotAnExtension(anchored.size, size));

        _record(origin, size, root);
    }

    /// @notice Begins the log `origin` here at a tree that another deployment anchored, so that it need not start at 0.
    /// @dev Anyone may call it once the members have voted `Approved(adoptionOf(origin, size, root))`.
    /// @param origin keccak256 of the origin's text
    /// @param size entries in the tree
    /// @param root RFC 9162 root hash over them
    function adopt(bytes32 origin, uint64 size, bytes32 root) external {
        uint64 anchored = _latest[origin].size;
        require(anchored == 0, AlreadyStarted(origin, anchored));
        require(size > 0, EmptyTree(origin));
        bytes32 adoption = adoptionOf(origin, size, root);
        require(registry.isApproved(adoption), NotApproved(adoption));

        _record(origin, size, root);
    }

    /// @notice The latest checkpoint of the log `origin`; all zero where there is none.
    /// @return size entries in the log
    /// @return root RFC 9162 root hash over them
    /// @return blockNumber block that anchored it
    /// @return anchoredAt time of that block, in seconds
    function latest(bytes32 origin)
        external
        view
        returns (uint64 size, bytes32 root, uint64 blockNumber, uint64 anchoredAt)
    {
        Checkpoint storage anchored = _latest[origin];
        return (anchored.size, anchored.root, anchored.blockNumber, anchored.anchoredAt);
    }

    /// @notice What the members approve in order to let `adopt(origin, size, root)` pass on this very contract.
    function adoptionOf(bytes32 origin, uint64 size, bytes32 root) public view returns (bytes32) {
        return keccak256(abi.encode("Tallystick adopt", block.chainid, address(this), origin, size, root));
    }

    function _record(bytes32 origin, uint64 size, bytes32 root) private {
        (uint64 previousSize, uint64 previousAnchoredAt) = (_latest[origin].size, _latest[origin].anchoredAt);
        _latest[origin] = Checkpoint(size, uint64(block.number), uint64(block.timestamp), root);
        emit CheckpointAnchored(
            origin, size, root, previousSize, previousAnchoredAt, registry.head(), registry.changeCount()
        );
    }
}
