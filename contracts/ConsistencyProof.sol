// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ConsistencyProof
/// @notice Consistency of two append-only Merkle trees over SHA-256, as RFC 9162 section 2.1.4.2 verifies it.
library ConsistencyProof {
    /// @notice Whether the tree of `newSize` leaves under `newRoot` begins with the tree of `oldSize` leaves under `oldRoot`.
    /// @dev RFC 9162 proves nothing from the empty tree, so nothing is proven from it here either: a caller that begins
    /// a log says so itself. Never reverts: an ill-formed proof is one that does not hold.
    /// @param oldSize leaves of the older tree
    /// @param newSize leaves of the newer tree
    /// @param oldRoot root hash of the older tree
    /// @param newRoot root hash of the newer tree
    /// @param path the node hashes of the proof, in the order of RFC 9162 section 2.1.4.1
    /// @return whether the proof holds
    function holds(uint64 oldSize, uint64 newSize, bytes32 oldRoot, bytes32 newRoot, bytes32[] calldata path)
        internal
        pure
        returns (bool)
    {
        if (oldSize == 0 || oldSize > newSize) return false;
        if (oldSize == newSize) return path.length == 0 && oldRoot == newRoot;
        if (path.length == 0) return false; // step 1

        // Step 2: where the old tree is perfect its root is a node of the new tree, and the proof leaves it out.
        bool isPerfect = oldSize & (oldSize - 1) == 0;
        bytes32 fr = isPerfect ? oldRoot : path[0];
        bytes32 sr = fr;

        // Steps 3 and 4: the last node of either tree, at the lowest level where they part.
        uint64 fn = oldSize - 1;
        uint64 sn = newSize - 1;
        while (fn & 1 == 1) (fn, sn) = (fn >> 1, sn >> 1);

        // Steps 5 and 6: climb, rebuilding both roots from the shared nodes.
        for (uint256 i = isPerfect ? 0 : 1; i < path.length; ++i) {
            if (sn == 0) return false;
            if (fn & 1 == 1 || fn == sn) {
                fr = _parent(path[i], fr);
                sr = _parent(path[i], sr);
                while (fn & 1 == 0 && fn != 0) (fn, sn) = (fn >> 1, sn >> 1);
            } else {
                sr = _parent(sr, path[i]);
            }
            (fn, sn) = (fn >> 1, sn >> 1);
        }

        return sn == 0 && fr == oldRoot && sr == newRoot; // step 7
    }

    /// @dev SHA-256(0x01 ‖ left ‖ right), RFC 9162 section 2.1.1.
    function _parent(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }
}
