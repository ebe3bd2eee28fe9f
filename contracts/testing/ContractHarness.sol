// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ConsistencyProof} from "../ConsistencyProof.sol";
import {MemberRegistry} from "../MemberRegistry.sol";

/// @title ContractHarness
/// @notice What the tests ask for many times over, in one call. Never deployed by the product.
contract ContractHarness {
    /// @notice `ConsistencyProof.holds`, which is internal.
    function holds(uint64 oldSize, uint64 newSize, bytes32 oldRoot, bytes32 newRoot, bytes32[] calldata path)
        external
        pure
        returns (bool)
    {
        return ConsistencyProof.holds(oldSize, newSize, oldRoot, newRoot, path);
    }

    /// @notice The digests of all `statements` as `registry` computes them.
    function statementDigests(MemberRegistry registry, MemberRegistry.Statement[] calldata statements)
        external
        view
        returns (bytes32[] memory digests)
    {
        digests = new bytes32[](statements.length);
        for (uint256 i = 0; i < statements.length; ++i) digests[i] = registry.statementDigest(statements[i]);
    }

    /// @notice Who signed each digest, zero where `registry` refuses the signature.
    function signers(MemberRegistry registry, bytes32[] calldata digests, bytes[] calldata signatures)
        external
        pure
        returns (address[] memory found)
    {
        found = new address[](digests.length);
        for (uint256 i = 0; i < digests.length; ++i) {
            try registry.recover(digests[i], signatures[i]) returns (address signer) {
                found[i] = signer;
            } catch {}
        }
    }
}
